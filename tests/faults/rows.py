"""What the database holds of jobs, row by row: to see whether anything has changed."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import psycopg

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]

TABLES: Final = ("jobs", "invocations", "logs")


async def rows(url: str) -> Rows:
    """All of them: jobs, invocations with status and bill, logs."""
    return await asyncio.to_thread(_of_sqlite if url.startswith("sqlite") else _of_postgres, url)


def _of_sqlite(url: str) -> Rows:
    with closing(sqlite3.connect(urlsplit(url).path, timeout=30)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM heavyjobs_{table}"), key=repr) for table in TABLES}  # noqa: S608


def _of_postgres(url: str) -> Rows:
    with psycopg.connect(url) as connection:
        found = {table: connection.execute(f"SELECT row::text FROM heavyjobs.{table} AS row").fetchall() for table in TABLES}  # noqa: S608
    return {table: sorted(lines) for table, lines in found.items()}
