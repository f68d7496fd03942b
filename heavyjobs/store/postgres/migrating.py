"""The schema: made, brought forward, and refused where this release cannot work on it."""

from __future__ import annotations

from typing import Final, NamedTuple

from psycopg.rows import args_row, scalar_row

from heavyjobs.errors import SchemaMismatch
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.statements import migrations

MIGRATIONS: Final = migrations("heavyjobs.store.postgres")
VERSION: Final = max(MIGRATIONS)
MIN_COMPATIBLE: Final = 1
"""The oldest release's version that can still work on a schema of `VERSION`."""


async def migrate(talk: Talk, where: str) -> tuple[int, int]:
    """One transaction for all migrations that are missing; see `Store.migrate`."""
    async with talk.connection.transaction():
        await talk.do("lock_schema")
        before, min_compatible = await _version(talk)
        if min_compatible > VERSION:
            raise _too_new(where, before)
        for version, script in MIGRATIONS.items():
            if version > before:
                await talk.connection.execute(script.encode())
                await talk.do("set_schema_version", version=version, min_compatible=MIN_COMPATIBLE)
        return before, max(before, VERSION)


async def check(talk: Talk, where: str) -> None:
    """See `Store.check_schema`."""
    found, min_compatible = await _version(talk)
    if min_compatible > VERSION:
        raise _too_new(where, found)
    if found == 0:
        raise SchemaMismatch(f"{where}: there is no heavyjobs schema here yet; run heavyjobs migrate")
    if found < VERSION:
        raise SchemaMismatch(f"{where}: the schema has version {found}, this release needs {VERSION}; run heavyjobs migrate")


class _Found(NamedTuple):
    version: int
    min_compatible: int


async def _version(talk: Talk) -> _Found:
    """The version found and the oldest that can work on it; zeros where there is no schema."""
    [exists] = await talk.rows("schema_exists", scalar_row)
    if not exists:
        return _Found(0, 0)
    versions = await talk.rows("schema_version", args_row(_Found))
    return versions[0] if versions else _Found(0, 0)


def _too_new(where: str, found: int) -> SchemaMismatch:
    return SchemaMismatch(f"{where}: the schema has version {found}, this release knows {VERSION}; upgrade heavyjobs here")
