"""What only a database's own means can do: emptied between histories, and its clock let pass by moving all times back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

TIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "jobs": ("created_at", "due_at", "ready_at", "finished_at", "cancel_requested_at"),
    "invocations": ("opened_at", "started_at", "ended_at"),
    "logs": (),
    "coordinators": ("started_at", "ticked_at", "drain_requested_at", "fenced_at", "ended_at"),
}


class SqliteBackstage:
    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def empty(self) -> None:
        self._do([f"DELETE FROM heavyjobs_{table}" for table in TIMES])  # noqa: S608  # the names above

    def pass_time(self, seconds: float) -> None:
        back = round(seconds * 1_000_000)
        self._do(
            [
                f"UPDATE heavyjobs_{table} SET {', '.join(f'{time} = {time} - {back}' for time in times)}"  # noqa: S608
                for table, times in TIMES.items()
                if times
            ]
        )

    def _do(self, statements: list[str]) -> None:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            for statement in statements:
                connection.execute(statement)


class PostgresBackstage:
    def __init__(self, url: str) -> None:
        self._url: Final = url

    def empty(self) -> None:
        with psycopg.connect(self._url) as connection:
            for table in TIMES:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("heavyjobs", table)))

    def pass_time(self, seconds: float) -> None:
        with psycopg.connect(self._url) as connection:
            for table, times in TIMES.items():
                if times:
                    connection.execute(_moved_back(table, times), {"seconds": seconds})


def _moved_back(table: str, times: tuple[str, ...]) -> sql.Composed:
    moves = [sql.SQL("{time} = {time} - %(seconds)s * interval '1 second'").format(time=sql.Identifier(time)) for time in times]
    return sql.SQL("UPDATE {} SET {}").format(sql.Identifier("heavyjobs", table), sql.SQL(", ").join(moves))
