"""A job can join the caller's own transaction: it exists once that is committed, and never when it is rolled back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import psycopg
import pytest

from heavyjobs import Client, JobNotFound, NotCommitted, SyncClient, UsageError
from tests.client.player import Bake, Baked, Player


@dataclass
class Own:
    """An application's own connection, for an event loop."""

    connection: object
    commit: Callable[[], Awaitable[None]]
    rollback: Callable[[], Awaitable[None]]


class SyncOwn:
    """The same for a thread."""

    def __init__(self, connection: sqlite3.Connection | psycopg.Connection) -> None:
        self.connection = connection
        self.commit = connection.commit
        self.rollback = connection.rollback


@asynccontextmanager
async def own_of_sqlite(url: str) -> AsyncIterator[Own]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:

        async def commit() -> None:
            connection.commit()

        async def rollback() -> None:
            connection.rollback()

        yield Own(connection, commit, rollback)


@asynccontextmanager
async def own_of_postgres(url: str) -> AsyncIterator[Own]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield Own(connection, connection.commit, connection.rollback)


@pytest.fixture
async def own(client: Client, url: str) -> AsyncIterator[Own]:
    assert client.store.url
    async with (own_of_sqlite if url.startswith("sqlite") else own_of_postgres)(url) as own:
        yield own


@pytest.fixture
def sync_client(url: str) -> Iterator[SyncClient]:
    with SyncClient.open(url) as client:
        yield client


@pytest.fixture
def sync_own(sync_client: SyncClient, url: str) -> Iterator[SyncOwn]:
    assert sync_client.list() == []
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            yield SyncOwn(connection)
    else:
        with psycopg.connect(url) as other:
            yield SyncOwn(other)


@pytest.mark.fault("people: a job is awaited before its transaction is committed")
async def test_a_job_in_an_open_transaction_cannot_be_awaited_until_it_is_committed(
    client: Client, own: Own, player: Player
) -> None:
    handle = await client.submit(Bake(), connection=own.connection)

    for verb in (handle.result, handle.wait, handle.status, handle.job):
        with pytest.raises(NotCommitted, match="commit first, then await it"):
            await verb()
    with pytest.raises(NotCommitted):
        await anext(handle.watch())
    assert await player.claims() == []
    await own.commit()

    await player.succeed(await player.claim())
    assert await handle.result(timeout=10) == Baked(loaves=3)


@pytest.mark.fault("people: a submit in a transaction that rolls back")
async def test_a_job_whose_transaction_was_rolled_back_never_was(client: Client, own: Own) -> None:
    handles = await client.submit_many([Bake(), Bake()], connection=own.connection)

    await own.rollback()

    for handle in handles:
        with pytest.raises(JobNotFound, match="rolled back"):
            await handle.result(timeout=10)


async def test_a_committed_job_is_found_while_its_connection_is_in_the_next_transaction(client: Client, own: Own) -> None:
    first = await client.submit(Bake(), connection=own.connection)
    await own.commit()

    await client.submit(Bake(), connection=own.connection)

    assert (await first.job()).id == first.id


async def test_a_unique_key_joins_a_transaction_too(client: Client, own: Own) -> None:
    first = await client.submit(Bake(), unique="bread")

    again = await client.submit_kind("tests.bake", {"flour": 2}, unique="bread", connection=own.connection)

    assert again.id == first.id
    assert (await again.job()).id == first.id


async def test_something_that_is_no_connection_of_that_database_is_refused(client: Client) -> None:
    with pytest.raises(UsageError, match="Client"):
        await client.submit(Bake(), connection=client)


def test_a_thread_submits_in_a_transaction_of_its_own(sync_client: SyncClient, sync_own: SyncOwn) -> None:
    kept = sync_client.submit(Bake(), connection=sync_own.connection)
    with pytest.raises(NotCommitted):
        kept.wait(timeout=10)
    sync_own.commit()
    lost = sync_client.submit_many([Bake()], connection=sync_own.connection)
    sync_own.rollback()

    assert kept.job().id == kept.id
    with pytest.raises(JobNotFound):
        lost[0].result(timeout=10)
    assert [job.id for job in sync_client.list()] == [kept.id]
