"""Promises about scheduled jobs: they become ready when due, longest due first, and never before."""

from __future__ import annotations

import asyncio
from uuid import UUID

from heavyjobs.model import JobState
from heavyjobs.store.protocol import Store
from heavyjobs.testing.contract.harness import Harness, MoreStores, claim_ids, job_of, new_job, state_of, submit, until


class Promoting(Harness):
    async def test_with_nothing_scheduled_there_is_nothing_to_wait_for(self, store: Store) -> None:
        await submit(store)

        assert await store.promote(limit=10) == (0, None)

    async def test_a_job_is_not_ready_before_its_time_and_the_wait_is_known(self, store: Store, session: UUID) -> None:
        [job] = await submit(store, new_job(delay_seconds=3600.0))

        moved, seconds = await store.promote(limit=10)

        assert moved == 0
        assert seconds is not None
        assert 3590 < seconds <= 3600
        assert await state_of(store, job) is JobState.SCHEDULED
        assert await claim_ids(store, session) == []

    async def test_a_due_job_becomes_ready_and_can_be_claimed(self, store: Store, session: UUID) -> None:
        [job] = await submit(store, new_job(delay_seconds=0.01))

        await until(lambda: _all_moved(store, 1))

        found = await job_of(store, job)
        assert found.state is JobState.READY
        assert found.due_at is None
        assert found.ready_at is not None
        assert await claim_ids(store, session) == [job]

    async def test_the_longest_due_go_first_and_the_rest_is_known_to_be_due(self, store: Store) -> None:
        jobs = await submit(store, *(new_job(delay_seconds=seconds) for seconds in (0.03, 0.01, 0.02)))
        await asyncio.sleep(0.04)  # time itself is what is waited for: all three are due

        moved, seconds = await store.promote(limit=2)

        assert moved == 2
        assert seconds is not None
        assert seconds <= 0
        assert [await state_of(store, job) for job in jobs] == [JobState.SCHEDULED, JobState.READY, JobState.READY]

    async def test_a_cancelled_job_never_becomes_due(self, store: Store) -> None:
        jobs = await submit(store, new_job(delay_seconds=0.01))
        await store.cancel(jobs)

        assert await store.promote(limit=10) == (0, None)
        assert await state_of(store, jobs[0]) is JobState.CANCELLED

    async def test_two_promoters_move_each_job_once(self, store: Store, more_stores: MoreStores) -> None:
        other = await more_stores()
        await submit(store, *(new_job(delay_seconds=0.001) for _ in range(100)))
        moved = 0

        async def all_moved() -> bool:
            nonlocal moved
            answers = await asyncio.gather(*(party.promote(limit=7) for party in (store, other)))
            assert all(count > 0 for count, seconds in answers if seconds is not None and seconds <= 0)
            moved += sum(count for count, _ in answers)
            return all(seconds is None for _, seconds in answers)

        await until(all_moved)

        assert moved == 100


async def _all_moved(store: Store, count: int) -> bool:
    return (await store.promote(limit=10))[0] == count
