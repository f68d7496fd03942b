"""What is done to PostgreSQL itself."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Final

import psycopg

from soaking.databases import Database
from soaking.plan import Fault

_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_SOME: Final = f"{_OTHERS} AND random() < 0.3"
_TABLES: Final = "LOCK TABLE heavyjobs.jobs, heavyjobs.coordinators IN ACCESS EXCLUSIVE MODE"
_ROWS: Final = "SELECT 1 FROM heavyjobs.jobs WHERE state NOT IN ('succeeded', 'dead', 'cancelled') FOR UPDATE SKIP LOCKED"
_LOCK_SECONDS: Final = 5


async def inflict(fault: Fault, database: Database) -> bool:
    """Do it; what lasts is over when this returns."""
    assert database.server is not None  # noqa: S101 - for the type checker
    match fault.kind:
        case "some backends terminated":
            await _execute(database.url, _SOME)
        case "all backends terminated":
            await _execute(database.url, _OTHERS)
        case "server restarted":
            await asyncio.to_thread(database.server.restart)
        case "server crashed":
            await asyncio.to_thread(partial(database.server.restart, immediate=True))
        case "server stopped for a while":
            with database.server.standing_still():
                await asyncio.sleep(fault.seconds)
        case "tables locked":
            await _lock(database.url, _TABLES, fault.seconds)
        case _:
            await _lock(database.url, _ROWS, fault.seconds)
    return True


async def _execute(url: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement.encode())


async def _lock(url: str, statement: str, seconds: float) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'".encode())
        await connection.execute(statement.encode())
        await asyncio.sleep(seconds * random.uniform(0.8, 1.0))  # noqa: S311 - guards nothing
        await connection.rollback()
