"""The PostgreSQL store keeps its promises behind pgbouncer in transaction mode, too, and need not be told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions, Topic
from heavyjobs.testing.conformance import OpenStore
from heavyjobs.testing.contract import (
    cancelling,
    changing,
    claiming,
    ending,
    forfeiting,
    promoting,
    recording,
    schema,
    sessions,
    spawning,
    submitting,
    waking,
)
from heavyjobs.testing.contract.harness import register, submit
from heavyjobs.testing.pooler import Pooler
from heavyjobs.testing.postgres import PostgresServer
from tests.poolers import pooler
from tests.store.test_postgres import TestPostgres as Direct


@pytest.fixture(scope="module")
def between(postgres: PostgresServer) -> Iterator[Pooler]:
    with pooler(postgres) as between:
        yield between


class TestPostgresBehindAPooler(
    schema.Schema,
    submitting.Submitting,
    submitting.SubmittingWithin,
    spawning.Spawning,
    promoting.Promoting,
    claiming.Claiming,
    recording.Recording,
    ending.Ending,
    forfeiting.Forfeiting,
    cancelling.Cancelling,
    changing.Retrying,
    changing.Updating,
    sessions.Sessions,
    waking.Waking,
):
    """All that is about transactions; reading and odd values are as without it."""

    @pytest.fixture
    def open_store(self, empty_postgres_url: str, between: Pooler) -> OpenStore:
        url = between.url_of(empty_postgres_url.rpartition("/")[2])
        return lambda options: PostgresStore(url, replace(options, listen_url=empty_postgres_url if options.notify else None))

    connect = Direct.connect
    pretend_schema = Direct.pretend_schema


@pytest.mark.fault("database: a pooler whose sessions are other people's too")
async def test_nothing_of_ours_is_left_in_the_sessions_of_a_pooler(postgres_url: str, between: Pooler) -> None:
    """Neither settings, nor prepared statements, nor LISTEN."""
    url = between.url_of(postgres_url.rpartition("/")[2])
    async with PostgresStore(url, StoreOptions()) as store, store.wakeups(list(Topic)) as wakeups:
        session = await register(store)
        for _ in range(10):
            await submit(store)
            await store.tick(session, [])

        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
            for _ in range(10):
                assert other.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
                assert other.execute("SELECT * FROM pg_listening_channels()").fetchall() == []
                assert other.execute("SHOW enable_seqscan").fetchone() == ("on",)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(wakeups), 0.05)
