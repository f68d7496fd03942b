"""Updates that every job and every tick causes leave the indexes alone (HOT), and wake others once, not once per row."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import psycopg
import pytest

from heavyjobs.model import Bill
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import (
    DEATH,
    chunk,
    claim_one,
    end,
    finish,
    new_job,
    news,
    record,
    register,
    submit,
    take,
    until,
    want,
)

JOBS = 60


async def test_progress_logs_ends_and_ticks_are_hot_updates(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        session = await register(store)
        await submit(store, *(new_job() for _ in range(JOBS)))
        claims = [one.claim for one in await take(store, session, want(room=JOBS))]
    await until(lambda: _updated_at_least(postgres_url, "jobs", JOBS))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_reset()")

    async with PostgresStore(postgres_url, StoreOptions()) as store:
        await record(store, session, progress=[news(claim, status="1") for claim in claims])
        await record(store, session, logs=[chunk(claim, 0, "line") for claim in claims])
        await record(store, session, ends=[end(claim, status="2", result="1") for claim in claims])
        for _ in range(JOBS):
            await store.tick(session, claims)

    await until(lambda: _updated_at_least(postgres_url, "invocations", 3 * JOBS))
    await until(lambda: _updated_at_least(postgres_url, "coordinators", JOBS))
    for table in ("jobs", "invocations", "coordinators"):
        updated, hot = _updates(postgres_url, table)
        # A page that is full at the moment moves a row; an index in the way would move every one.
        assert hot >= 0.7 * updated > 0, table


@pytest.mark.parametrize(
    ("table", "free"),
    [
        ("jobs", "state attempt unstarted session finished_at cancel_requested_at result error cause checkpoint claim"),
        ("invocations", "slot started_at ended_at ending status cause wall_seconds log_lines log_bytes"),
        ("coordinators", "tick ticked_at drain_requested_at fenced_at ended_at"),
    ],
)
def test_no_index_knows_a_column_that_a_finish_tick_or_status_writes(postgres_url: str, table: str, free: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'heavyjobs' AND tablename = %s", (table,)
        ).fetchall()

    columns = {word for (definition,) in found for word in re.findall(r"\w+", str(definition).partition(" USING ")[2])}

    if table == "invocations":
        columns.discard("claim")
    assert columns
    assert not columns & set(free.split())


@pytest.fixture
async def heard(postgres_url: str) -> AsyncIterator[asyncio.Queue[str]]:
    """The payloads of all notifications, as they come."""
    payloads: asyncio.Queue[str] = asyncio.Queue()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("LISTEN heavyjobs")

        async def hear() -> None:
            async for notification in connection.notifies():
                payloads.put_nowait(notification.payload)

        task = asyncio.create_task(hear())
        yield payloads
        task.cancel()
        await asyncio.wait([task])


async def test_each_transaction_with_news_notifies_once(postgres_store: PostgresStore, heard: asyncio.Queue[str]) -> None:
    store = postgres_store
    session = await register(store)
    jobs = await submit(store, *(new_job() for _ in range(100)))
    claims = [one.claim for one in await take(store, session)]
    await record(store, session, progress=[news(claim, status="1") for claim in claims])
    await record(store, session, progress=[news(claim, bill=Bill(1.0, 1.0)) for claim in claims])  # no news for anyone
    await record(store, session, logs=[chunk(claim, number, "line") for number in range(3) for claim in claims])
    await record(store, session, ends=[end(claim) for claim in claims])
    await store.tick(session, [])
    await store.cancel(jobs)  # all have ended
    await store.drain([session])

    payloads = [await asyncio.wait_for(heard.get(), 10) for _ in range(5)]

    assert [payload.split()[0] for payload in payloads] == ["ready", "jobs", "jobs", "jobs", "control"]
    assert set(payloads[3].split()[1:]) == {str(job) for job in jobs}
    assert payloads[4] == f"control {session}"
    assert heard.empty()


async def test_a_death_and_the_cancels_below_it_are_one_notification(
    postgres_store: PostgresStore, heard: asyncio.Queue[str]
) -> None:
    store = postgres_store
    session = await register(store)
    await submit(store)
    parent = (await claim_one(store, session)).claim
    children = await submit(store, *(new_job(parent=parent.job, child_key=str(number), depth=1) for number in range(3)))
    child = (await claim_one(store, session)).claim
    for _ in range(2):
        await asyncio.wait_for(heard.get(), 10)

    await finish(store, session, parent, DEATH)

    topics = dict(line.split(" ", 1) for line in (await asyncio.wait_for(heard.get(), 10)).splitlines())
    assert set(topics["jobs"].split()) == {str(job) for job in [parent.job, *children]}
    assert topics["control"] == str(session)
    assert child.job in children
    assert heard.empty()


async def test_too_many_keys_for_one_notification_mean_any(postgres_store: PostgresStore, heard: asyncio.Queue[str]) -> None:
    session = await register(postgres_store)
    await submit(postgres_store, *(new_job() for _ in range(500)))
    await heard.get()

    await record(postgres_store, session, ends=[end(one.claim) for one in await take(postgres_store, session, want(room=500))])

    assert await asyncio.wait_for(heard.get(), 10) == "jobs"


def _updates(url: str, table: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'heavyjobs' AND relname = %s", (table,)
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def _updated_at_least(url: str, table: str, count: int) -> bool:
    return _updates(url, table)[0] >= count
