"""One connection hears for everybody, and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from heavyjobs.model import new_id
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.postgres.listening import KEYS_MAX, Mailbox
from heavyjobs.store.postgres.wakeups import PAYLOAD_MAX_BYTES, News, read, written
from heavyjobs.store.records import StoreOptions, Topic, WakeUp
from heavyjobs.testing.contract.harness import new_job, submit, until
from heavyjobs.testing.postgres import PostgresServer

SECONDS = 30.0

# -- the written form


def test_what_is_written_is_read_back_whatever_the_queues_are_called() -> None:
    queues = {"a b", "line\nbreak", "percent%20", "ünïcode/…", "x" * 100}
    jobs, session = [new_id(), new_id()], new_id()

    wakeups = read(written(News(ready=queues, jobs=jobs, control=[session])))

    assert wakeups == [
        WakeUp(Topic.READY, frozenset(queues)),
        WakeUp(Topic.JOBS, frozenset(str(job) for job in jobs)),
        WakeUp(Topic.CONTROL, frozenset({str(session)})),
    ]


def test_the_most_keys_are_left_out_when_there_are_too_many() -> None:
    payload = written(News(ready={"media"}, jobs=[new_id() for _ in range(300)]))

    assert read(payload) == [WakeUp(Topic.READY, frozenset({"media"})), WakeUp(Topic.JOBS)]
    assert len(payload) < PAYLOAD_MAX_BYTES


def test_no_news_is_nothing_to_write_and_unknown_lines_are_passed_over() -> None:
    assert written(News()) == ""
    assert read("weather sunny\n\njobs") == [WakeUp(Topic.JOBS)]


async def test_hints_are_gathered_until_taken_and_any_stays_any() -> None:
    mailbox = Mailbox({Topic.READY, Topic.JOBS})
    for wakeup in (WakeUp(Topic.READY, frozenset("a")), WakeUp(Topic.READY, frozenset("b")), WakeUp(Topic.CONTROL)):
        mailbox.put(wakeup)
    for keys in (frozenset("a"), frozenset[str](), frozenset("b")):
        mailbox.put(WakeUp(Topic.JOBS, keys))

    assert [await anext(mailbox), await anext(mailbox)] == [WakeUp(Topic.READY, frozenset("ab")), WakeUp(Topic.JOBS)]

    mailbox.put(WakeUp(Topic.JOBS, frozenset(map(str, range(KEYS_MAX + 1)))))
    assert await anext(mailbox) == WakeUp(Topic.JOBS)


# -- the connection


async def test_a_thousand_who_wait_share_one_connection(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(connections=2)) as store:
        jobs = await submit(store, *(new_job() for _ in range(1000)))
        waiting, woken = asyncio.Semaphore(0), 0

        async def wait(job_number: int) -> None:
            nonlocal woken
            async with store.wakeups([Topic.JOBS]) as wakeups:
                waiting.release()
                wakeup = await anext(wakeups)
                assert str(jobs[0]) in wakeup.keys
                assert (await store.briefs([jobs[job_number]])).keys() == {jobs[job_number]}
                woken += 1

        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            for number in range(1000):
                tasks.create_task(wait(number))
            for _ in range(1000):
                await waiting.acquire()
            backends = await _backends(postgres_url)
            await store.cancel([jobs[0]])

        assert woken == 1000
        assert len(backends) <= 1 + 2
        await until(lambda: _nobody_listens(postgres_url))


@pytest.fixture
async def woken(postgres_url: str) -> AsyncIterator[tuple[PostgresStore, AsyncIterator[WakeUp]]]:
    options = StoreOptions(timeout_seconds=3.0)
    async with PostgresStore(postgres_url, options) as store, store.wakeups([Topic.READY, Topic.JOBS]) as wakeups:
        yield store, wakeups


async def test_a_killed_listener_is_noticed_and_everybody_is_woken(
    postgres_url: str, woken: tuple[PostgresStore, AsyncIterator[WakeUp]]
) -> None:
    store, wakeups = woken
    [listener] = await _listeners(postgres_url)
    await _terminate(postgres_url, [listener])

    async with asyncio.timeout(SECONDS):
        assert {await anext(wakeups), await anext(wakeups)} == {WakeUp(Topic.READY), WakeUp(Topic.JOBS)}
        await submit(store)
        assert (await anext(wakeups)).keys == {"default"}


@pytest.mark.fault("database: the listener's backend frozen")
async def test_a_frozen_listener_is_noticed_and_everybody_is_woken(
    postgres_url: str, woken: tuple[PostgresStore, AsyncIterator[WakeUp]]
) -> None:
    store, wakeups = woken
    [listener] = await _listeners(postgres_url)
    os.kill(listener, signal.SIGSTOP)
    try:
        async with asyncio.timeout(SECONDS):
            assert {await anext(wakeups), await anext(wakeups)} == {WakeUp(Topic.READY), WakeUp(Topic.JOBS)}
            await submit(store)
            assert (await anext(wakeups)).keys == {"default"}
    finally:
        os.kill(listener, signal.SIGCONT)


async def test_a_listener_of_a_server_that_is_away_comes_back_with_it(postgres: PostgresServer, postgres_url: str) -> None:
    async with (
        PostgresStore(postgres_url, StoreOptions(timeout_seconds=2.0)) as store,
        store.wakeups([Topic.READY]) as wakeups,
        asyncio.timeout(SECONDS),
    ):
        await asyncio.to_thread(postgres.stop)
        async with store.wakeups([Topic.CONTROL]) as late:
            await asyncio.to_thread(postgres.start)
            assert await anext(wakeups) == WakeUp(Topic.READY)
            assert await anext(late) == WakeUp(Topic.CONTROL)


async def test_the_listener_has_an_address_of_its_own_beside_a_pooler(postgres_url: str) -> None:
    nowhere = StoreOptions(listen_url="postgresql://postgres@127.0.0.1:1/nowhere", timeout_seconds=2.0)
    beside = StoreOptions(listen_url=postgres_url)

    async with PostgresStore(postgres_url, nowhere) as store, store.wakeups([Topic.READY]):
        assert await _listeners(postgres_url) == []
    async with PostgresStore(postgres_url, beside) as store, store.wakeups([Topic.READY]) as wakeups:
        await submit(store)
        assert await asyncio.wait_for(anext(wakeups), SECONDS) == WakeUp(Topic.READY, frozenset({"default"}))


async def test_with_notify_off_nobody_listens_and_nothing_is_notified(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(notify=False)) as store, store.wakeups(list(Topic)) as wakeups:
        async with PostgresStore(postgres_url, StoreOptions()) as hearing, hearing.wakeups(list(Topic)) as heard:
            await submit(store)
            await store.drain([new_id()])
            await submit(hearing, new_job())
            first = await asyncio.wait_for(anext(heard), SECONDS)

            assert len(await _listeners(postgres_url)) == 1

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(wakeups), 0.05)
        assert first == WakeUp(Topic.READY, frozenset({"default"}))


async def _backends(url: str) -> list[tuple[int, str]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT pid, query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'heavyjobs'"
            " AND pid <> pg_backend_pid() ORDER BY pid"
        )
        return [(int(pid), str(query)) for pid, query in await cursor.fetchall()]


async def _listeners(url: str) -> Sequence[int]:
    return [pid for pid, query in await _backends(url) if query in {"LISTEN heavyjobs", "SELECT 1"}]


async def _nobody_listens(url: str) -> bool:
    return not await _listeners(url)


async def _terminate(url: str, pids: Sequence[int]) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::integer[]) AS named (pid)", (list(pids),))
