"""A commit whose acknowledgement is lost, for every verb: done again or found done, and in any case done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heavyjobs import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import JobRecord, JobState, Move
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.postgres.talking import SQL
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Changes, Filter, StoreOptions
from heavyjobs.testing.contract.harness import (
    AGAIN,
    DEATH,
    chunk,
    end,
    forfeit,
    invocation_of,
    new_job,
    new_session,
    record,
    register,
    running,
    submit,
    take,
)
from heavyjobs.testing.proxy import Ambush, FaultyProxy
from heavyjobs.values import JsonText
from tests.faults.ordeal import ordeal
from tests.lifecycle.stores import around
from tests.lifecycle.work import Echo


@dataclass(frozen=True)
class Stage:
    """A store that is reached through the proxy, and one that is not."""

    lossy: Store
    store: Store
    proxy: FaultyProxy

    def lose(self, statement: str) -> Ambush:
        return self.proxy.lose_answer(words_of(statement))


def words_of(statement: str) -> str:
    """By which a statement is known on its way: its sentence goes with it."""
    return SQL[statement].decode().splitlines()[0]


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
async def stage(postgres_url: str, proxy: FaultyProxy) -> AsyncIterator[Stage]:
    async with (
        PostgresStore(proxy.url, StoreOptions(timeout_seconds=10)) as lossy,
        PostgresStore(postgres_url, StoreOptions()) as store,
    ):
        yield Stage(lossy, store, proxy)


@pytest.mark.fault("database: the answer to a submit is lost")
async def test_submit(stage: Stage) -> None:
    jobs = [new_job(), new_job()]
    lost = stage.lose("submit")

    answers = await stage.lossy.submit(jobs)

    assert lost.happened.is_set()
    assert [answer.id for answer in answers] == [job.id for job in jobs]
    assert len(await stage.store.get_many([job.id for job in jobs])) == 2


@pytest.mark.fault("database: the answer to a spawn is lost")
async def test_spawn(stage: Stage) -> None:
    session = await register(stage.store)
    claim = await running(stage.store, session)
    children = [new_job(parent=claim.job, child_key=key, depth=1) for key in "ab"]
    lost = stage.lose("parent_held")

    answers = await stage.lossy.spawn(session, claim, children)

    assert lost.happened.is_set()
    assert [answer.id for answer in answers] == [child.id for child in children]


@pytest.mark.fault("database: the answer to a claim is lost")
async def test_claim(stage: Stage) -> None:
    session = await register(stage.store)
    [job] = await submit(stage.store)
    lost = stage.lose("claim")

    with pytest.raises(StoreUnavailable):
        await take(stage.lossy, session)

    assert lost.happened.is_set()
    [held] = await stage.lossy.held(session)
    assert (held.claim.job, held.claim.number) == (job, 1)
    assert not await take(stage.lossy, session)


@pytest.mark.fault("database: the answer to a record of ends is lost")
@pytest.mark.parametrize("move", [DEATH, AGAIN])
async def test_record(stage: Stage, move: Move) -> None:
    session = await register(stage.store)
    claim = await running(stage.store, session)
    lost = stage.lose("end_invocation")

    recorded = await record(stage.lossy, session, logs=[chunk(claim, 0, "last words")], ends=[end(claim, move)])

    assert lost.happened.is_set()
    assert recorded.ended == {claim: move.state}
    assert not recorded.lost
    assert (await invocation_of(stage.store, claim)).log_lines == 1


@pytest.mark.fault("database: the answer to a checkpoint is lost")
async def test_checkpoint(stage: Stage) -> None:
    session = await register(stage.store)
    claim = await running(stage.store, session)
    lost = stage.lose("checkpoint")

    await stage.lossy.checkpoint(session, claim, JsonText('{"done":1}'))

    assert lost.happened.is_set()
    assert [one.checkpoint for one in await stage.store.held(session)] == ['{"done":1}']


@pytest.mark.fault("database: the answer to an update is lost")
async def test_update(stage: Stage) -> None:
    [job] = await submit(stage.store)
    lost = stage.lose("update_job")

    assert (await stage.lossy.update(job, Changes(priority=7))).policy.priority == 7

    assert lost.happened.is_set()


@pytest.mark.fault("database: the answer to a tick is lost")
async def test_tick(stage: Stage) -> None:
    session = await register(stage.store)
    lost = stage.lose("tick")

    assert (await stage.lossy.tick(session, [])).number == 2

    assert lost.happened.is_set()


@pytest.mark.fault("database: the answer to a forfeit is lost")
async def test_forfeit(stage: Stage) -> None:
    silent, observer = await register(stage.store), await register(stage.store)
    claim = await running(stage.store, silent)
    lost = stage.lose("fence")

    with pytest.raises(StoreUnavailable):
        await forfeit(stage.lossy, observer, silent)

    assert lost.happened.is_set()
    assert silent not in {seen.id for seen in (await stage.lossy.tick(observer, [])).others}
    assert [one.claim.number for one in await take(stage.lossy, observer) if one.claim.job == claim.job] == [2]


@pytest.mark.fault("database: the answer to a registration is lost")
async def test_register(stage: Stage) -> None:
    lost, session = stage.lose("register"), new_session()

    await stage.lossy.register(session)

    assert lost.happened.is_set()
    assert [found.session.id for found in await stage.store.coordinators()] == [session.id]


@pytest.mark.fault("database: the answer to the end of a session is lost")
async def test_end_session(stage: Stage) -> None:
    session = await register(stage.store)
    lost = stage.lose("end_session")

    await stage.lossy.end_session(session)

    assert lost.happened.is_set()
    assert not await stage.store.coordinators()


# -- what an application does, to a coordinator that works


@pytest.mark.fault("database: the answer to a cancel is lost")
async def test_a_cancel_and_all_below_it(stage: Stage) -> None:
    session = await register(stage.store)
    parent = await running(stage.store, session)
    await stage.store.spawn(session, parent, [new_job(parent=parent.job, child_key="a", depth=1)])
    lost = stage.lose("cancel")

    async with Client(stage.lossy) as client:
        assert await client.handle(parent.job).cancel(wait=False) is None

    assert lost.happened.is_set()
    assert [order.claim for order in (await stage.store.tick(session, [parent])).cancels] == [parent]
    [child] = await stage.store.list(Filter(parent=parent.job))
    assert child.state is JobState.CANCELLED


@pytest.mark.fault("database: the answer to a retry is lost")
async def test_retry(stage: Stage) -> None:
    [job] = await submit(stage.store)
    await stage.store.cancel([job])
    lost = stage.lose("retry")

    async with Client(stage.lossy) as client:
        record = await client.handle(job).retry()

    assert lost.happened.is_set()
    assert (record.state, record.epoch) == (JobState.READY, 2)
    assert (await stage.store.get_many([job]))[job].epoch == 2


@pytest.mark.fault("database: the answer to a retry is lost, and the job has died again by then")
async def test_a_retry_that_was_done_is_not_done_again_though_the_job_ended_meanwhile(stage: Stage) -> None:
    """Known to be a second life that ended, not the first that still has to be sent again."""
    [job] = await submit(stage.store)
    await stage.store.cancel([job])

    async def ends_at_once(*args: Any, **how: Any) -> JobRecord:
        await stage.store.retry(*args, **how)
        await stage.store.cancel([job])
        raise StoreUnavailable("the answer was lost")

    async with Client(around(stage.store, retry=ends_at_once)) as client:
        record = await client.handle(job).retry()

    assert (record.state, record.epoch) == (JobState.CANCELLED, 2)


EVERYTHING = ("submit", "parent_held", "claim", "append_logs", "progress", "end_invocation", "tick", "promote")


@pytest.mark.fault("database: answers to all that a coordinator writes are lost, one after the other")
async def test_a_coordinator_goes_on_whatever_answer_is_lost(proxy: FaultyProxy, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        for passing in (0, 1):
            losing = [proxy.lose_answer(words_of(statement), passing=passing) for statement in EVERYTHING]
            async with asyncio.timeout(60):
                while not all(lost.happened.is_set() for lost in losing):
                    later = await jobs.client.submit(Echo(text="later"), delay="50ms")
                    await jobs.work()
                    await later.result()
