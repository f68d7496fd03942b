"""The schema: made, brought forward, and refused where this release cannot work on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from heavyjobs.errors import SchemaMismatch
from heavyjobs.store.sqlite.rows import now
from heavyjobs.store.sqlite.sql import PACKAGE, SQL
from heavyjobs.store.statements import migrations

MIGRATIONS: Final = migrations(PACKAGE)
VERSION: Final = max(MIGRATIONS)
MIN_COMPATIBLE: Final = 1
"""The oldest release's version that can still work on a schema of `VERSION`."""


def migrate(connection: sqlite3.Connection, *, where: str) -> tuple[int, int]:
    """Run the migrations that are missing; see `Store.migrate`."""
    before, min_compatible = _version(connection)
    if min_compatible > VERSION:
        raise _too_new(where, before)
    for version, script in MIGRATIONS.items():
        if version > before:
            for sentence in sentences(script):
                connection.execute(sentence)
            connection.execute(SQL["set_schema_version"], {"version": version, "min_compatible": MIN_COMPATIBLE, "now": now()})
    return before, max(before, VERSION)


def check(connection: sqlite3.Connection, *, where: str) -> None:
    """See `Store.check_schema`."""
    found, min_compatible = _version(connection)
    if min_compatible > VERSION:
        raise _too_new(where, found)
    if found == 0:
        raise SchemaMismatch(f"{where}: there is no heavyjobs schema here yet; run heavyjobs migrate")
    if found < VERSION:
        raise SchemaMismatch(f"{where}: the schema has version {found}, this release needs {VERSION}; run heavyjobs migrate")


def sentences(script: str) -> Iterator[str]:
    """The sentences of a script one by one, because `executescript` would commit what came before."""
    sentence = ""
    for line in script.splitlines(keepends=True):
        sentence += line
        if sqlite3.complete_statement(sentence):
            yield sentence
            sentence = ""


def _version(connection: sqlite3.Connection) -> tuple[int, int]:
    """The version found and the oldest that can work on it; zeros where there is no schema."""
    if connection.execute(SQL["schema_exists"]).fetchone() is None:
        return 0, 0
    row = connection.execute(SQL["schema_version"]).fetchone()
    return (row["version"], row["min_compatible"]) if row else (0, 0)


def _too_new(where: str, found: int) -> SchemaMismatch:
    return SchemaMismatch(f"{where}: the schema has version {found}, this release knows {VERSION}; upgrade heavyjobs here")
