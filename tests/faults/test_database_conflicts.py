"""Transactions in each other's way: serialization failures, deadlocks, and timeouts that an administrator has set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, LiteralString

import pytest
from psycopg import AsyncConnection

from heavyjobs import Client
from heavyjobs.model import JobState
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import new_job, new_session, take
from heavyjobs.testing.postgres import PostgresServer
from tests.faults.ordeal import ordeal
from tests.faults.test_database_server import alter
from tests.lifecycle.asking import until
from tests.lifecycle.work import Count

STRICTER: Final[Sequence[LiteralString]] = ("repeatable read", "serializable")


@pytest.mark.fault("database: a stricter isolation by default")
@pytest.mark.parametrize("notify", [True, False])
@pytest.mark.parametrize("isolation", STRICTER)
async def test_a_stricter_isolation_by_default_changes_nothing(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, notify: bool, isolation: LiteralString
) -> None:
    """Without wake-ups the store leaves the session's isolation as it is, as behind a pooler."""
    alter(postgres, postgres_url, "SET default_transaction_isolation = '" + isolation + "'")
    async with ordeal(postgres_url, tmp_path, notify=notify) as jobs:
        await asyncio.gather(*(jobs.submit() for _ in range(5)))


@pytest.mark.parametrize("notify", [True, False])
@pytest.mark.parametrize("isolation", STRICTER)
async def test_a_claim_that_commits_while_its_session_is_forfeited_is_taken_back_whatever_the_isolation_is_by_default(
    postgres: PostgresServer, postgres_url: str, notify: bool, isolation: LiteralString
) -> None:
    alter(postgres, postgres_url, "SET default_transaction_isolation = '" + isolation + "'")
    silent, observer, job = new_session("silent"), new_session("observer"), new_job()
    async with (
        PostgresStore(postgres_url, StoreOptions(notify=notify)) as store,
        await AsyncConnection.connect(postgres_url) as own,
    ):
        for session in (silent, observer):
            await store.register(session)
        await store.submit([job])
        # A row of ours in the way of the claim's, which holds its session's row by then; for that the forfeit waits.
        await own.execute(
            "INSERT INTO heavyjobs.invocations (job, claim, epoch, attempt, session, host, opened_at)"
            " VALUES (%s, 1, 1, 1, %s, 'another', now())",
            [job.id, observer.id],
        )
        claiming = asyncio.create_task(take(store, silent.id))
        await _until_so_many_wait(postgres_url, 1)
        forfeiting = asyncio.create_task(store.forfeit(observer.id, session=silent.id, tick=0, jitter=0.0))
        await _until_so_many_wait(postgres_url, 2)

        await own.rollback()

        (claimed,) = await claiming
        assert await forfeiting == [claimed.claim]
        found = await store.get(job.id)
        assert found is not None
        assert found.state is not JobState.RUNNING


@pytest.mark.fault("database: a deadlock with an application's transaction")
async def test_the_victim_of_a_deadlock_is_done_again(postgres_url: str) -> None:
    async with Client.open(postgres_url) as client, await AsyncConnection.connect(postgres_url) as own:
        handles = await client.submit_many([Count(), Count()])
        first, second = sorted(handle.id for handle in handles)
        await own.execute("SET deadlock_timeout = '1min'")  # the other looks first, and is the victim
        await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (second,))
        cancelling = asyncio.create_task(client.cancel(first, second))
        await _until_so_many_wait(postgres_url, 1)

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


async def _until_so_many_wait(url: str, number: int) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as looking:

        async def wait() -> bool:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            row = await (await looking.execute(sql)).fetchone()
            return row is not None and row[0] >= number

        await until(wait)
