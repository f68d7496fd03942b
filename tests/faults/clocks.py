"""Clocks that can be set while processes go by them: a host's, for its Pythons; a database server's, by its own means."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

CLOCKS: Final = "TESTED_CLOCKS"
"""The variable that names the file with a host's clocks."""

# Python runs it at the start of every process that has its folder on PYTHONPATH: coordinator, guardian, fork server, workers.
_SITECUSTOMIZE: Final = f"""
import os, time

_file, _time, _time_ns, _clock_gettime = os.environ["{CLOCKS}"], time.time, time.time_ns, time.clock_gettime


def _ahead(place):
    with open(_file) as clocks:
        return float(clocks.read().split()[place])


def clock_gettime(clock):
    place = {{time.CLOCK_REALTIME: 0, time.CLOCK_BOOTTIME: 1}}.get(clock)
    return _clock_gettime(clock) + (0 if place is None else _ahead(place))


time.time = lambda: _time() + _ahead(0)
time.time_ns = lambda: _time_ns() + int(_ahead(0) * 1e9)
time.clock_gettime = clock_gettime
"""


class HostClock:
    """The clocks of one host: the one on the wall, and the one that counts since boot, sleep included."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder: Final = folder
        self._file: Final = folder / "clocks"
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self.set()

    def set(self, *, wall: float = 0.0, boot: float = 0.0) -> None:
        """So many seconds ahead of the real ones, from now on."""
        fresh = self._folder / "fresh"
        fresh.write_text(f"{wall} {boot}")
        fresh.replace(self._file)

    @contextmanager
    def in_force(self) -> Generator[None]:
        """Processes that are started in the block go by it for as long as they live, and so does all that they start."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(
                "PYTHONPATH", os.pathsep.join([str(self._folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
            )
            patch.setenv(CLOCKS, str(self._file))
            yield


class ServerClock:
    """The clock of a PostgreSQL database, as all statements of sessions see it that begin from now on."""

    def __init__(self, url: str) -> None:
        self._url: Final = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_SERVER_CLOCK)
            database = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = clocks, pg_catalog, public").format(database))
            for table, column in connection.execute(_DEFAULTS).fetchall():
                connection.execute(
                    sql.SQL("ALTER TABLE heavyjobs.{} ALTER {} SET DEFAULT clocks.clock_timestamp()").format(
                        sql.Identifier(table), sql.Identifier(column)
                    )
                )

    def set(self, *, wall: float) -> None:
        """So many seconds ahead of the real one, from now on."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("UPDATE clocks.ahead SET seconds = %s", (wall,))


_SERVER_CLOCK: Final = """
CREATE SCHEMA clocks;
CREATE TABLE clocks.ahead (seconds double precision NOT NULL);
INSERT INTO clocks.ahead VALUES (0);
CREATE FUNCTION clocks.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
    'SELECT pg_catalog.clock_timestamp() + seconds * interval ''1 second'' FROM clocks.ahead';
"""

_DEFAULTS: Final = """
SELECT table_name, column_name
  FROM information_schema.columns
 WHERE table_schema = 'heavyjobs' AND column_default LIKE '%%clock_timestamp%%'
"""
