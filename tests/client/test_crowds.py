"""Any number of waiters cost one listener and one poll; trouble with the database makes waits longer and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
import pytest

from heavyjobs import Client, JobRecord, JobState, LogLine, StateChanged, StoreOptions, StoreUnavailable
from heavyjobs.model import new_id
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import Brief, Topic, WakeUp
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.watching import Watcher
from heavyjobs.testing.postgres import PostgresServer
from tests.client.player import Bake, Baked, Player
from tests.lifecycle.asking import until

CROWD: Final = 1000
LISTENERS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name = 'heavyjobs listener'"
CONNECTIONS: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'heavyjobs'"


class _Counting(PostgresStore):
    """Counts the statements that waiting costs."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        super().__init__(url, options)
        self.calls: Final = Counter[str]()

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        self.calls["briefs"] += 1
        self.calls["briefs read"] += len(jobs)
        return await super().briefs(jobs)

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
        self.calls["records"] += 1
        self.calls["records read"] += len(jobs)
        return await super().get_many(jobs)

    @asynccontextmanager
    async def wakeups(self, topics: Collection[Topic]) -> AsyncGenerator[AsyncIterator[WakeUp]]:
        async with super().wakeups(topics) as wakeups:
            self.calls["listeners"] += 1
            yield wakeups


def _listen_url(url: str) -> str:
    return f"{url}?application_name=listener"


async def _listeners(observer: psycopg.Connection) -> list[int]:
    """Process ids of the connections that listen, once there are any."""
    found: list[int] = []

    def any_listens() -> bool:
        found.extend(pid for (pid,) in observer.execute(LISTENERS))
        return bool(found)

    await until(any_listens)
    return found


async def test_a_thousand_awaiting_handles_cost_one_listener_and_few_statements(postgres_url: str) -> None:
    options = StoreOptions(listen_url=_listen_url(postgres_url))
    async with _Counting(postgres_url, options) as store, Client(store, poll_seconds=60) as client:
        player = await Player.registered(store)
        handles = await client.submit_many([Bake(flour=n) for n in range(CROWD)])
        waiting = [asyncio.create_task(handle.result(timeout=60)) for handle in handles]
        claims = [claimed.claim for claimed in await player.claims()]
        with psycopg.connect(postgres_url, autocommit=True) as observer:
            listeners = await _listeners(observer)
            connections = observer.execute(CONNECTIONS).fetchone()

        for first in range(0, CROWD, 100):
            await player.succeed(*claims[first : first + 100])
        results = await asyncio.gather(*waiting)

    assert results == [Baked(loaves=3)] * CROWD
    assert len(listeners) == 1
    assert connections is not None
    assert connections[0] <= StoreOptions().connections
    assert store.calls["records read"] == CROWD
    assert store.calls["records"] <= 25
    assert store.calls["briefs"] <= 25


async def test_a_flush_wakes_only_the_waiters_of_its_own_jobs(postgres_url: str) -> None:
    async with _Counting(postgres_url, StoreOptions()) as store, Client(store, poll_seconds=60) as client:
        player = await Player.registered(store)
        handles = await client.submit_many([Bake(flour=n) for n in range(CROWD)])
        claims = {claimed.claim.job: claimed.claim for claimed in await player.claims()}
        waiting = [asyncio.create_task(handle.result(timeout=60)) for handle in handles]
        await until(lambda: store.calls["listeners"] > 0)
        await anext(handles[-1].watch())  # from a round that may have begun before the listener heard
        await anext(handles[-1].watch())  # from one after it, in which all are looked at
        store.calls.clear()

        await player.succeed(claims[handles[0].id])
        await waiting[0]

        assert store.calls["records read"] == 1
        assert store.calls["briefs read"] < CROWD / 2
        await player.succeed(*(claims[handle.id] for handle in handles[1:]))
        await asyncio.gather(*waiting)


async def test_a_client_whose_listener_died_for_good_still_gets_its_results(
    postgres: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS listener")
        admin.execute("CREATE ROLE listener LOGIN PASSWORD 'listener'")
        place = f"127.0.0.1:{postgres.port}/{admin.info.dbname}"
        options = StoreOptions(listen_url=_listen_url(f"postgresql://listener:listener@{place}"))
        async with Client.open(postgres_url, options=options, poll_seconds=0.1) as client:
            player = await Player.registered(client.store)
            handle = await client.submit(Bake())
            waiting = asyncio.create_task(handle.result(timeout=30))
            (listener,) = await _listeners(admin)

            admin.execute("ALTER ROLE listener NOLOGIN")
            admin.execute("SELECT pg_terminate_backend(%s)", [listener])
            await player.succeed(await player.claim())

            assert await waiting == Baked(loaves=3)
        admin.execute("DROP ROLE listener")


async def test_a_restart_of_the_server_makes_waits_longer_and_nothing_else(postgres: PostgresServer, postgres_url: str) -> None:
    async with Client.open(postgres_url) as client:
        handle = await client.submit(Bake())
        waiting = asyncio.create_task(handle.result(timeout=60))
        watching = handle.watch()
        await anext(watching)

        await asyncio.to_thread(postgres.restart, immediate=True)

        async with PostgresStore(postgres_url, StoreOptions()) as store:
            player = await Player.registered(store)
            await player.succeed(await player.claim(), says=["still here"])
        assert await waiting == Baked(loaves=3)
        rest = [update async for update in watching]
        assert [update.text for update in rest if isinstance(update, LogLine)] == ["still here"]
        assert isinstance(rest[-1], StateChanged)
        assert rest[-1].state is JobState.SUCCEEDED


class _Failing(SqliteStore):
    """Cannot be read for the next `failures` times."""

    failures = 0

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        self._fail()
        return await super().briefs(jobs)

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
        self._fail()
        return await super().get_many(jobs)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")


async def test_a_look_that_failed_is_repeated(tmp_path: Path) -> None:
    async with _Failing(f"sqlite:///{tmp_path}/jobs.db", StoreOptions()) as store, Client(store, poll_seconds=60) as client:
        await store.migrate()
        player = await Player.registered(store)
        handle = await client.submit(Bake())
        store.failures = 2
        waiting = asyncio.create_task(handle.result(timeout=30))
        update = await anext(handle.watch())
        store.failures = 2

        await player.succeed(await player.claim())

        assert "ready" in str(update)
        assert await waiting == Baked(loaves=3)


class _Broken(SqliteStore):
    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        raise ZeroDivisionError(f"{len(jobs)} jobs")


async def test_an_error_of_ours_ends_every_wait_instead_of_leaving_it_for_ever(tmp_path: Path) -> None:
    async with _Broken(f"sqlite:///{tmp_path}/jobs.db", StoreOptions()) as store:
        watcher = await Watcher(store).__aenter__()

        with pytest.raises(ExceptionGroup) as raised:
            await watcher.ended([new_id()])
        with pytest.raises(ExceptionGroup) as raised_again:
            await watcher.__aexit__()

    assert raised.value.subgroup(ZeroDivisionError)
    assert raised_again.value.subgroup(ZeroDivisionError)
