"""Promises about wake-ups: hints of the right topic come soon, and nothing depends on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Changes, StoreOptions, Topic, WakeUp
from heavyjobs.testing.contract.harness import (
    AGAIN,
    DEADLINE_SECONDS,
    DEATH,
    HAND_BACK,
    Harness,
    MoreStores,
    OpenStore,
    chunk,
    claim_one,
    finish,
    forfeit,
    new_job,
    news,
    record,
    register,
    running,
    submit,
    until,
)


class Waking(Harness):
    async def test_new_work_wakes_those_who_wait_for_ready_jobs(self, store: Store, more_stores: MoreStores) -> None:
        other = await more_stores()
        async with other.wakeups([Topic.READY]) as wakeups:
            await submit(store)

            await hint(wakeups, Topic.READY)

    async def test_work_that_comes_back_wakes_them_too(self, store: Store, session: UUID) -> None:
        async with store.wakeups([Topic.READY]) as wakeups:
            claim = await running(store, session)
            await hint(wakeups, Topic.READY)

            await finish(store, session, claim, HAND_BACK)
            await hint(wakeups, Topic.READY)

            claim = (await claim_one(store, session)).claim
            await finish(store, session, claim, AGAIN)
            await store.update(claim.job, Changes(delay_seconds=0))
            await hint(wakeups, Topic.READY)

            claim = (await claim_one(store, session)).claim
            await finish(store, session, claim, DEATH)
            await store.retry(claim.job)
            await hint(wakeups, Topic.READY)

            silent = await register(store)
            await claim_one(store, silent)
            await forfeit(store, session, silent)
            await hint(wakeups, Topic.READY)

    async def test_a_scheduled_job_wakes_them_when_it_is_promoted(self, store: Store) -> None:
        await submit(store, new_job(delay_seconds=0.01))
        async with store.wakeups([Topic.READY]) as wakeups:
            await until(lambda: _promoted(store))

            await hint(wakeups, Topic.READY)

    async def test_status_logs_and_ends_wake_those_who_wait_for_jobs(
        self, store: Store, session: UUID, more_stores: MoreStores
    ) -> None:
        other = await more_stores()
        claim = await running(store, session)
        async with other.wakeups([Topic.JOBS]) as wakeups:
            await record(store, session, progress=[news(claim, status="1")])
            await hint(wakeups, Topic.JOBS, str(claim.job))
            await record(store, session, logs=[chunk(claim, 0, "line")])
            await hint(wakeups, Topic.JOBS, str(claim.job))
            await finish(store, session, claim)
            await hint(wakeups, Topic.JOBS, str(claim.job))

    async def test_a_cancel_wakes_those_who_wait_for_the_job(self, store: Store) -> None:
        jobs = await submit(store)
        async with store.wakeups([Topic.JOBS]) as wakeups:
            await store.cancel(jobs)

            await hint(wakeups, Topic.JOBS, str(jobs[0]))

    async def test_cancel_and_drain_hurry_the_session_concerned(
        self, store: Store, session: UUID, more_stores: MoreStores
    ) -> None:
        other = await more_stores()
        claim = await running(store, session)
        async with store.wakeups([Topic.CONTROL]) as wakeups:
            await other.cancel([claim.job])
            await hint(wakeups, Topic.CONTROL, str(session))

            await other.drain([session])
            await hint(wakeups, Topic.CONTROL, str(session))

    async def test_several_topics_and_several_listeners_all_hear(self, store: Store, session: UUID) -> None:
        async with store.wakeups(list(Topic)) as everything, store.wakeups([Topic.READY]) as ready:
            claim = await running(store, session)
            await hint(everything, Topic.READY)
            await hint(ready, Topic.READY)

            await store.cancel([claim.job])
            await hint(everything, Topic.CONTROL)

    async def test_a_thousand_changes_do_not_pile_up_for_a_slow_listener(self, store: Store) -> None:
        async with store.wakeups([Topic.READY]) as wakeups:
            for _ in range(20):
                await submit(store, *(new_job() for _ in range(50)))
            await hint(wakeups, Topic.READY)
            more = 0
            while await _comes(wakeups):
                more += 1

            assert more <= 20

    async def test_listening_can_stop_and_start_again(self, store: Store) -> None:
        for _ in range(3):
            async with store.wakeups([Topic.READY]) as wakeups:
                await submit(store)
                await hint(wakeups, Topic.READY)

    async def test_with_notify_off_nothing_comes_and_nothing_breaks(self, open_store: OpenStore, options: StoreOptions) -> None:
        async with open_store(replace(options, notify=False)) as store:
            await store.migrate()
            session = await register(store)
            async with store.wakeups(list(Topic)) as wakeups:
                claim = await running(store, session)
                await store.cancel([claim.job])
                await store.drain([session])
                await finish(store, session, claim)

                assert not await _comes(wakeups)


async def hint(wakeups: AsyncIterator[WakeUp], topic: Topic, key: str | None = None) -> None:
    """Wait for a hint of that topic that names `key` or nobody in particular."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            async for wakeup in wakeups:
                if wakeup.topic is topic and (key is None or not wakeup.keys or key in wakeup.keys):
                    return
    except TimeoutError:
        pytest.fail(f"no {topic} wake-up within {DEADLINE_SECONDS} s")


async def _promoted(store: Store) -> bool:
    return (await store.promote(limit=10))[0] > 0


async def _comes(wakeups: AsyncIterator[WakeUp]) -> bool:
    """Whether any hint comes soon."""
    try:
        async with asyncio.timeout(0.2):
            await anext(wakeups)
    except TimeoutError:
        return False
    return True
