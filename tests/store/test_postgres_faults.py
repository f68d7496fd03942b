"""Lost connections, a server that goes away, and parties that meet at the same row."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from uuid import UUID

import psycopg
import pytest

from heavyjobs.errors import SessionFenced, StoreUnavailable, UsageError
from heavyjobs.model import JobState
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.postgres.talking import SQL
from heavyjobs.store.records import CancelAnswer, Filter, StoreOptions, Topic
from heavyjobs.testing.contract.harness import (
    DEATH,
    HAND_BACK,
    claim_one,
    end,
    new_job,
    record,
    register,
    running,
    state_of,
    submit,
    take,
    want,
)
from heavyjobs.testing.postgres import postgres_server

SECONDS = 30.0


async def test_eight_claimers_on_four_stores_get_each_of_2000_jobs_once(postgres_url: str) -> None:
    async with AsyncExitStack() as entered:
        stores = [await entered.enter_async_context(PostgresStore(postgres_url, StoreOptions())) for _ in range(4)]
        jobs = await submit(stores[0], *(new_job() for _ in range(2000)))
        claimed: Counter[UUID] = Counter()

        async def work(store: PostgresStore) -> None:
            session = await register(store)
            while claims := [one.claim for one in await take(store, session, want(room=17))]:
                claimed.update(claim.job for claim in claims)
                recorded = await record(store, session, ends=[end(claim) for claim in claims])
                assert set(recorded.ended.values()) == {JobState.SUCCEEDED}

        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(work(stores[number % 4]))

        assert claimed == Counter(jobs)
        assert len(await stores[0].list(Filter(states=[JobState.SUCCEEDED], limit=3000))) == 2000


async def test_verbs_that_may_be_repeated_outlive_the_loss_of_every_connection(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        session = await register(store)
        await asyncio.gather(*(store.tick(session, []) for _ in range(20)))  # all four connections are there

        for _ in range(5):
            await _terminate_all(postgres_url)
            [job] = await submit(store)
            await store.tick(session, [])
            assert job in await store.briefs([job])


async def test_a_claim_on_a_lost_connection_is_unavailable_or_held_never_lost(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        session = await register(store)
        await submit(store, *(new_job() for _ in range(10)))
        for _ in range(10):
            await _terminate_all(postgres_url)
            with suppress(StoreUnavailable):
                await take(store, session, want(room=1))

        held = {one.claim.job for one in await store.held(session)}
        ready = {record.id for record in await store.list(Filter(states=[JobState.READY]))}

        assert len(held) + len(ready) == 10
        assert not held & ready


@pytest.mark.fault("database: away for longer than a call may take")
async def test_a_server_that_goes_away_is_unavailable_in_time_and_found_again() -> None:
    with postgres_server() as server:
        async with PostgresStore(server.url, StoreOptions(timeout_seconds=2.0)) as store:
            await store.migrate()
            [job] = await submit(store)
            await asyncio.to_thread(server.stop, immediate=True)

            for _ in range(3):
                started = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    await store.get(job)
                assert time.monotonic() - started < 20

            await asyncio.to_thread(server.start)
            async with asyncio.timeout(SECONDS):
                while True:
                    with suppress(StoreUnavailable):
                        assert await store.get(job) is not None
                        break


async def test_a_restart_between_two_calls_is_not_noticed() -> None:
    with postgres_server() as server:
        async with PostgresStore(server.url, StoreOptions()) as store:
            await store.migrate()
            [job] = await submit(store)
            await asyncio.to_thread(server.restart)

            assert await store.get(job) is not None


@pytest.mark.fault("database: a row locked by someone for long")
async def test_a_call_that_finds_a_row_locked_ends_in_time(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(timeout_seconds=3.0)) as store:
        [job] = await submit(store)
        async with await psycopg.AsyncConnection.connect(postgres_url) as own:
            await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (job,))
            started = time.monotonic()

            with pytest.raises(StoreUnavailable, match="cancelling"):
                await store.cancel([job])

            assert time.monotonic() - started < 20
        assert await store.cancel([job]) == {job: CancelAnswer.CANCELLED}


@pytest.mark.fault("database: a statement cancelled on the server")
async def test_a_tick_that_the_server_cancelled_does_not_spoil_the_next_ones(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(connections=1)) as store:
        session = await register(store)
        held = [await running(store, session)]
        # Now psycopg is about to prepare the statements: at the next tick, those that the server does not come to.
        for _ in range(5):
            await store.tick(session, held)

        async with await psycopg.AsyncConnection.connect(postgres_url) as own:
            await own.execute("SELECT 1 FROM heavyjobs.coordinators FOR UPDATE")
            ticking = asyncio.create_task(store.tick(session, held))
            await _until_somebody_waits(postgres_url)
            await _cancel_those_who_wait(postgres_url)
            with pytest.raises(StoreUnavailable, match="ticking"):
                await ticking

        assert [(await store.tick(session, held)).number for _ in range(3)] == [6, 7, 8]


async def test_a_submit_that_the_server_cancelled_does_not_spoil_the_next_ones(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(connections=1)) as store:
        for _ in range(5):
            await submit(store)

        async with await psycopg.AsyncConnection.connect(postgres_url) as own:
            await own.execute("LOCK TABLE heavyjobs.jobs")
            submitting = asyncio.create_task(submit(store))
            await _until_somebody_waits(postgres_url)
            await _cancel_those_who_wait(postgres_url)
            with pytest.raises(StoreUnavailable, match="submitting"):
                await submitting

        for _ in range(3):
            await submit(store)


@pytest.mark.fault("database: all our own connections busy, a tick is due")
async def test_a_tick_does_not_wait_for_connections_that_are_all_busy(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(connections=2, timeout_seconds=SECONDS)) as store:
        session = await register(store)
        [job] = await submit(store)
        async with await psycopg.AsyncConnection.connect(postgres_url) as own:
            await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (job,))
            waiting = [asyncio.create_task(store.cancel([job])) for _ in range(5)]
            await _until_somebody_waits(postgres_url)

            async with asyncio.timeout(20):
                assert (await store.tick(session, [])).number == 1
                await store.end_session(session)

            assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)


async def test_the_connection_of_the_ticks_is_opened_by_the_first_and_replaced_when_it_dies(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        await submit(store)
        assert _opened_for_ticks(store) == 0

        session = await register(store)
        assert _opened_for_ticks(store) == 1

        for number in range(1, 4):
            await _terminate_all(postgres_url)
            assert (await store.tick(session, [])).number == number


async def test_a_frozen_coordinator_amid_a_transaction_does_not_keep_others_from_fencing_it(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions(timeout_seconds=3.0)) as store:
        silent, observer = await register(store), await register(store)
        claim = await running(store, silent)
        frozen = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
        await frozen.execute(SQL["settings"], {"timeout": "1000", "idle": "1000"})
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT 1 FROM heavyjobs.coordinators WHERE session = %s FOR KEY SHARE", (silent,))

        tick = {seen.id: seen.tick for seen in (await store.tick(observer, [])).others}[silent]
        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(StoreUnavailable):
                    assert await store.forfeit(observer, session=silent, tick=tick, jitter=0) == [claim]
                    break
        await frozen.close()


async def test_two_that_forfeit_each_other_leave_one(postgres_url: str) -> None:
    async with (
        PostgresStore(postgres_url, StoreOptions()) as one,
        PostgresStore(postgres_url, StoreOptions()) as other,
        asyncio.timeout(SECONDS),
    ):
        for _ in range(5):
            a, b = await register(one), await register(other)

            answers = await asyncio.gather(
                one.forfeit(a, session=b, tick=0, jitter=0),
                other.forfeit(b, session=a, tick=0, jitter=0),
                return_exceptions=True,
            )

            assert [] in answers
            assert len([answer for answer in answers if isinstance(answer, (SessionFenced, StoreUnavailable))]) == 1


async def test_a_cancel_that_comes_between_look_and_write_of_an_end_wins(
    postgres_store: PostgresStore, postgres_url: str
) -> None:
    store = postgres_store
    session = await register(store)
    claim = await running(store, session)
    async with await psycopg.AsyncConnection.connect(postgres_url) as own:
        await own.execute("UPDATE heavyjobs.jobs SET cancel_requested_at = clock_timestamp() WHERE id = %s", (claim.job,))
        ending = asyncio.create_task(record(store, session, ends=[end(claim, DEATH)]))
        await _until_somebody_waits(postgres_url)
        await own.commit()

    assert (await ending).ended == {claim: JobState.CANCELLED}


@pytest.mark.fault("database: ready jobs locked by another transaction")
async def test_a_claim_passes_over_what_another_has_locked_and_takes_what_stands_behind(
    postgres_store: PostgresStore, postgres_url: str
) -> None:
    store = postgres_store
    session = await register(store)
    first, second, third = await submit(store, *(new_job() for _ in range(3)))
    async with await psycopg.AsyncConnection.connect(postgres_url) as own:
        await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = ANY (%s) FOR UPDATE", ([first, second],))

        assert [one.claim.job for one in await take(store, session, want(room=1))] == [third]
        assert list(await take(store, session, want(room=1))) == []

    assert [one.claim.job for one in await take(store, session)] == [first, second]


async def test_promoting_while_a_due_job_is_locked_says_to_come_again_later(
    postgres_store: PostgresStore, postgres_url: str
) -> None:
    store = postgres_store
    locked, free = await submit(store, new_job(delay_seconds=1e-6), new_job(delay_seconds=1e-6))
    async with await psycopg.AsyncConnection.connect(postgres_url) as own:
        await own.execute("SELECT 1 FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", (locked,))

        first, _ = await store.promote(limit=10)
        again, seconds = await store.promote(limit=10)

        assert (first, again) == (1, 0)
        assert seconds is not None
        assert 0.05 <= seconds <= 1

    assert await store.promote(limit=10) == (1, None)
    assert [await state_of(store, job) for job in (locked, free)] == [JobState.READY] * 2


async def test_a_job_claimed_while_it_is_cancelled_is_asked_to_stop(postgres_store: PostgresStore, postgres_url: str) -> None:
    store = postgres_store
    session = await register(store)
    [job] = await submit(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as own:
        await own.execute(
            "UPDATE heavyjobs.jobs SET state = 'running', claim = 1, session = %s, ready_at = NULL WHERE id = %s",
            (session, job),
        )
        cancelling = asyncio.create_task(store.cancel([job]))
        await _until_somebody_waits(postgres_url)
        await own.commit()

    assert await cancelling == {job: CancelAnswer.REQUESTED}
    assert await state_of(store, job) is JobState.RUNNING


async def test_what_a_silent_session_writes_while_it_is_fenced_counts_or_is_refused_whole(postgres_url: str) -> None:
    async with (
        PostgresStore(postgres_url, StoreOptions()) as store,
        PostgresStore(postgres_url, StoreOptions()) as other,
        asyncio.timeout(SECONDS),
    ):
        observer = await register(other)
        for _ in range(20):
            silent = await register(store)
            claim = await running(store, silent)

            forfeited, recorded = await asyncio.gather(
                other.forfeit(observer, session=silent, tick=0, jitter=0),
                record(store, silent, ends=[end(claim)]),
                return_exceptions=True,
            )

            if isinstance(recorded, SessionFenced):
                assert forfeited == [claim]
                assert (await claim_one(other, observer)).claim.number == 2
            else:
                assert forfeited == []
                assert await state_of(other, claim.job) is JobState.SUCCEEDED


# -- inside the caller's transaction


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        yield connection


async def test_a_rolled_back_job_is_absent_and_wakes_nobody(
    postgres_store: PostgresStore, own: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    async with postgres_store.wakeups([Topic.READY]) as wakeups:
        [answer] = await postgres_store.submit_within(own, [new_job()])
        await own.rollback()
        [later] = await postgres_store.submit_within(own, [new_job()])
        await own.commit()

        assert (await asyncio.wait_for(anext(wakeups), SECONDS)).topic is Topic.READY
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(wakeups), 0.05)
    assert answer.created
    assert (await postgres_store.get_many([answer.id, later.id])).keys() == {later.id}


async def test_the_callers_savepoint_and_row_factory_are_left_alone(postgres_store: PostgresStore, postgres_url: str) -> None:
    job = new_job(unique_key="k")
    async with await psycopg.AsyncConnection.connect(postgres_url, row_factory=psycopg.rows.dict_row) as own:
        with suppress(ZeroDivisionError):
            async with own.transaction():
                await postgres_store.submit_within(own, [new_job()])
                raise ZeroDivisionError
        async with own.transaction():
            await postgres_store.submit_within(own, [job])
            async with own.cursor() as cursor:
                assert await (await cursor.execute("SELECT 1 AS one")).fetchone() == {"one": 1}

    assert [found.id for found in await postgres_store.list(Filter())] == [job.id]


async def test_a_connection_of_another_kind_is_refused_with_the_kind_that_would_do(
    postgres_store: PostgresStore, postgres_url: str, own: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    with psycopg.connect(postgres_url) as blocking:
        with pytest.raises(UsageError, match=r"got psycopg.Connection, not a psycopg.AsyncConnection"):
            await postgres_store.submit_within(blocking, [new_job()])
        with pytest.raises(UsageError, match=r"got psycopg.AsyncConnection, not a psycopg.Connection"):
            postgres_store.submit_within_sync(own, [new_job()])

    assert await postgres_store.list(Filter()) == []


async def test_keys_that_never_settle_end_in_an_error(postgres_store: PostgresStore, postgres_url: str) -> None:
    """In REPEATABLE READ a key taken since is never seen."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as own:
        await own.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await own.execute("SELECT count(*) FROM heavyjobs.jobs")
        await submit(postgres_store, new_job(unique_key="k"))

        with pytest.raises(StoreUnavailable):
            await postgres_store.submit_within(own, [new_job(unique_key="k")])


async def _terminate_all(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'heavyjobs'"
        )


def _opened_for_ticks(store: PostgresStore) -> int:
    return store._database._control.get_stats().get("connections_num", 0)


@pytest.mark.fault("database: a dead child is sent again while another takes its unique key")
@pytest.mark.parametrize("kept", [True, False], ids=["commits", "rolls back"])
async def test_a_spawn_that_waits_for_its_child_s_unique_key_finds_it_taken_or_sends_the_child_again(
    postgres_url: str, kept: bool
) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        session = await register(store)
        parent = await running(store, session)
        child = new_job(kind="demo.child", parent=parent.job, child_key="a", depth=1, unique_key="k")
        await store.spawn(session, parent, [child])
        [died] = await take(store, session, want("demo.child"))
        await record(store, session, ends=[end(died.claim, DEATH), end(parent, HAND_BACK)])
        parent = (await claim_one(store, session)).claim

        async with await psycopg.AsyncConnection.connect(postgres_url) as own:
            await store.submit_within(own, [new_job(kind="demo.child", unique_key="k")])
            spawning = asyncio.create_task(store.spawn(session, parent, [child]))
            await _until_somebody_waits(postgres_url)
            await (own.commit() if kept else own.rollback())
            [answer] = await spawning

        assert (answer.id, answer.created) == (child.id, False)
        assert await state_of(store, child.id) is (JobState.DEAD if kept else JobState.READY)


async def _until_somebody_waits(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection, asyncio.timeout(SECONDS):
        while True:
            cursor = await connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if await cursor.fetchone():
                return
            await asyncio.sleep(0.01)


async def _cancel_those_who_wait(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


async def test_a_session_is_not_ended_beside_a_claim_that_is_still_being_written(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        session = await register(store)
        [job] = await submit(store)
        async with await psycopg.AsyncConnection.connect(postgres_url) as late:
            await late.execute("SELECT 1 FROM heavyjobs.coordinators WHERE session = %s FOR KEY SHARE", [session])
            await late.execute(
                "INSERT INTO heavyjobs.invocations (job, claim, epoch, attempt, session, host)"
                " VALUES (%s, 1, 1, 1, %s, 'here')",
                [job, session],
            )
            ending = asyncio.create_task(store.end_session(session))
            await _until_somebody_waits(postgres_url)

            await late.commit()
            await ending

        assert [found.session.id for found in await store.coordinators()] == [session], "it holds something, so it is open"
