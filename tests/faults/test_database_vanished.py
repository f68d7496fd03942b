"""A host vanishes in the middle of a transaction: the server hears nothing of it, and must not keep its locks for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from psycopg import AsyncConnection, OperationalError

from heavyjobs.errors import StoreUnavailable
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import chunk, end, record, register, running
from heavyjobs.testing.postgres import PostgresServer
from heavyjobs.testing.proxy import FaultyProxy
from tests.lifecycle.asking import until
from tests.poolers import pooler

SECONDS = 60.0


@pytest.fixture(params=["direct", pytest.param("pooled", marks=pytest.mark.fault("database: a host vanishes behind a pooler"))])
async def proxy(request: pytest.FixtureRequest, postgres: PostgresServer, postgres_url: str) -> AsyncIterator[FaultyProxy]:
    if request.param == "direct":
        async with FaultyProxy(postgres_url) as proxy:
            yield proxy
    else:
        with pooler(postgres) as between:
            async with FaultyProxy(between.url_of(postgres_url.rpartition("/")[2])) as proxy:
                yield proxy


@pytest.mark.fault("database: a host vanishes in the middle of a transaction")
async def test_what_a_vanished_host_has_locked_is_free_again_in_time(proxy: FaultyProxy, postgres_url: str) -> None:
    """It had sent the end of its job, and was to commit once it had the answer."""
    async with (
        PostgresStore(proxy.url, StoreOptions(timeout_seconds=2.0)) as vanished,
        PostgresStore(postgres_url, StoreOptions(timeout_seconds=2.0)) as store,
    ):
        silent, observer = await register(vanished), await register(store)
        claim = await running(vanished, silent)
        async with await AsyncConnection.connect(postgres_url) as own:
            await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (claim.job,))
            recording = asyncio.create_task(record(vanished, silent, logs=[chunk(claim, 0, "last")], ends=[end(claim)]))
            await _until_somebody_waits(own)
            proxy.freeze()

        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(StoreUnavailable):
                    assert await store.forfeit(observer, session=silent, tick=0, jitter=0) == [claim]
                    break

        with pytest.raises(StoreUnavailable):
            await recording
        await proxy.heal()


async def _until_somebody_waits(own: AsyncConnection[tuple[object, ...]]) -> None:
    async def waits() -> bool:
        sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return await (await own.execute(sql)).fetchone() is not None

    await until(waits)


@pytest.mark.fault("database: a host vanishes between two statements of one breath")
async def test_a_transaction_that_nothing_bounds_is_ended_by_those_in_whose_way_it_stands(postgres_url: str) -> None:
    """Nobody has told the server that this is all for now: so it waits, and does not count."""
    async with PostgresStore(postgres_url, StoreOptions(timeout_seconds=2.0)) as store:
        silent, observer = await register(store), await register(store)
        claim = await running(store, silent)
        vanished = await AsyncConnection.connect(postgres_url, autocommit=True, application_name="heavyjobs")
        amid = vanished.pipeline()
        await amid.__aenter__()
        await vanished.execute("BEGIN")
        await (await vanished.execute("SELECT 1 FROM heavyjobs.coordinators FOR KEY SHARE")).fetchall()

        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(StoreUnavailable):
                    assert await store.forfeit(observer, session=silent, tick=0, jitter=0) == [claim]
                    break

        with pytest.raises(OperationalError):
            await amid.__aexit__(None, None, None)
        await vanished.close()
