"""The server is restarted, kills its backends, has no connection left, lets nobody in or only reads for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from heavyjobs.errors import StoreUnavailable
from heavyjobs.store import open_store
from heavyjobs.testing.postgres import PostgresServer, postgres_server
from tests.faults.ordeal import ordeal
from tests.lifecycle.asking import until


@pytest.mark.fault("database: server restarted, its clients sent away")
async def test_a_restart_costs_no_job_anything(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(postgres_url, tmp_path) as jobs:
        await asyncio.to_thread(postgres.restart)
        await jobs.work()
        await asyncio.gather(jobs.submit(), asyncio.to_thread(postgres.restart))


@pytest.mark.fault("database: server crashed and recovered")
async def test_a_crash_of_the_server_costs_no_job_anything(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(postgres_url, tmp_path) as jobs:
        await asyncio.gather(jobs.submit(), asyncio.to_thread(postgres.restart, immediate=True))


@pytest.mark.fault("database: one backend killed")
async def test_a_killed_backend_is_replaced(postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(postgres_url, tmp_path) as jobs:
        for _ in range(5):
            assert await terminate(postgres_url, most=1) == 1
            await jobs.submit()


@pytest.mark.fault("database: all backends killed, again and again")
async def test_backends_killed_again_and_again_lose_nothing(postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(postgres_url, tmp_path) as jobs:
        for _ in range(5):
            submitting = asyncio.create_task(jobs.submit())
            for _ in range(5):
                await until(partial(_hit, postgres_url, submitting))
            await submitting


async def _hit(url: str, submitting: asyncio.Task[Any]) -> bool:
    return submitting.done() or await terminate(url) > 0


@pytest.mark.fault("database: no connection left, too many clients")
async def test_an_application_that_holds_all_connections_is_waited_for(tmp_path: Path) -> None:
    with postgres_server(settings={"max_connections": "16"}) as server:
        url = await _migrated(server)
        async with ordeal(url, tmp_path) as jobs:
            async with hogged(url):
                submitting = asyncio.create_task(jobs.submit())
                await until(lambda: "too many clients" in server.log)
                assert not submitting.done()
            await submitting
            await jobs.work()


@pytest.mark.fault("database: refuses logins for a while")
async def test_a_database_that_lets_nobody_in_is_waited_for(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    async with ordeal(postgres_url, tmp_path) as jobs:
        alter(postgres, postgres_url, "ALLOW_CONNECTIONS false")
        try:
            await terminate(postgres.url, of=name_of(postgres_url))
            submitting = asyncio.create_task(jobs.submit())
            with pytest.raises(StoreUnavailable):
                await jobs.client.list(limit=1)
        finally:
            alter(postgres, postgres_url, "ALLOW_CONNECTIONS true")
        await submitting


@pytest.mark.fault("database: only reads for a while, as after a failover")
async def test_a_server_that_only_reads_is_left_as_soon_as_it_writes_again(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    """Who is connected by then keeps reading only: the connections have to be given up."""
    async with ordeal(postgres_url, tmp_path) as jobs:
        alter(postgres, postgres_url, "SET default_transaction_read_only = on")
        await terminate(postgres_url)
        submitting = asyncio.create_task(jobs.submit())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(submitting), 1)
        assert not submitting.done()

        alter(postgres, postgres_url, "RESET default_transaction_read_only")

        await submitting


# -- what a server may do


async def terminate(url: str, *, of: str | None = None, most: int | None = None) -> int:
    """Kill backends of heavyjobs in a database (the one that the URL names); how many there were."""
    async with await AsyncConnection[TupleRow].connect(url, autocommit=True, application_name="killer") as connection:
        return await terminate_by(connection, of=of, most=most)


async def terminate_by(connection: AsyncConnection[TupleRow], *, of: str | None = None, most: int | None = None) -> int:
    """The same by someone who is connected already."""
    cursor = await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heavyjobs'"
        " AND datname = coalesce(%s, current_database()) LIMIT %s",
        (of, most),
    )
    return len(await cursor.fetchall())


def alter(server: PostgresServer, url: str, change: LiteralString) -> None:
    server.execute(sql.SQL("ALTER DATABASE {} ").format(sql.Identifier(name_of(url))) + sql.SQL(change))


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@asynccontextmanager
async def hogged(url: str) -> AsyncGenerator[None]:
    """All connections are ours: those that were free, and those of the others, which are killed."""
    async with AsyncExitStack() as held, await AsyncConnection[TupleRow].connect(url, autocommit=True) as killer:

        async def grab() -> bool:
            with suppress(psycopg.OperationalError):
                while True:
                    await held.enter_async_context(await AsyncConnection.connect(url, application_name="hog"))
            return await terminate_by(killer) == 0

        await until(grab)
        yield


async def _migrated(server: PostgresServer) -> str:
    url = server.create_database()
    async with open_store(url) as store:
        await store.migrate()
    return url
