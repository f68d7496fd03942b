"""Transactions in each other's way: serialization failures, deadlocks, and timeouts that an administrator has set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import pytest
from psycopg import AsyncConnection

from heavyjobs import Client
from heavyjobs.model import JobState
from heavyjobs.testing.postgres import PostgresServer
from tests.faults.ordeal import ordeal
from tests.faults.test_database_server import alter
from tests.lifecycle.asking import until
from tests.lifecycle.work import Count


@pytest.mark.fault("database: serializable by default, so transactions fail and are done again")
@pytest.mark.parametrize("notify", [True, False])
async def test_a_stricter_isolation_by_default_changes_nothing(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, notify: bool
) -> None:
    """Without wake-ups the store leaves the isolation as it is, as behind a pooler; else it says what it needs."""
    alter(postgres, postgres_url, "SET default_transaction_isolation = 'serializable'")
    async with ordeal(postgres_url, tmp_path, notify=notify) as jobs:
        await asyncio.gather(*(jobs.submit() for _ in range(5)))


@pytest.mark.fault("database: a deadlock with an application's transaction")
async def test_the_victim_of_a_deadlock_is_done_again(postgres_url: str) -> None:
    async with Client.open(postgres_url) as client, await AsyncConnection.connect(postgres_url) as own:
        handles = await client.submit_many([Count(), Count()])
        first, second = sorted(handle.id for handle in handles)
        await own.execute("SET deadlock_timeout = '1min'")  # the other looks first, and is the victim
        await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (second,))
        cancelling = asyncio.create_task(client.cancel(first, second))
        await _until_somebody_waits(postgres_url)

        await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (first,))
        await own.commit()

        await cancelling
        assert [(await handle.job()).state for handle in handles] == [JobState.CANCELLED] * 2


@pytest.mark.fault("database: statement_timeout, set by an administrator")
@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout",
        pytest.param("lock_timeout", marks=pytest.mark.fault("database: lock_timeout, set by an administrator")),
    ],
)
async def test_what_a_timeout_of_the_server_cut_off_is_done_again(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, setting: LiteralString
) -> None:
    """Without wake-ups the store sets none of its own, as behind a pooler."""
    alter(postgres, postgres_url, "SET " + setting + " = '400ms'")
    async with ordeal(postgres_url, tmp_path, notify=False) as jobs:
        logged = len(postgres.log)
        async with locked(postgres_url):
            submitting = asyncio.create_task(jobs.submit())
            await until(lambda: postgres.log.count("canceling statement due to", logged) >= 3)
        await submitting


@asynccontextmanager
async def locked(url: str) -> AsyncGenerator[None]:
    """Nobody can use the table of jobs."""
    async with await AsyncConnection.connect(url) as own:
        await own.execute("SELECT set_config(name, '0', false) FROM unnest('{statement_timeout,lock_timeout}'::text[]) AS name")
        await own.execute("LOCK TABLE heavyjobs.jobs")
        yield


async def _until_somebody_waits(url: str) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as looking:

        async def waits() -> bool:
            sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return await (await looking.execute(sql)).fetchone() is not None

        await until(waits)
