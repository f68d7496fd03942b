"""Promises about sending ended jobs again, and about changing jobs that have not ended."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from heavyjobs.errors import JobNotFound, WrongState
from heavyjobs.model import Cause, Ending, JobState, Move, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Changes
from heavyjobs.testing.contract.harness import (
    AGAIN,
    CANCEL,
    DEATH,
    SUCCESS,
    Harness,
    claim_ids,
    claim_one,
    end,
    finish,
    invocation_of,
    job_of,
    new_job,
    record,
    running,
    state_of,
    submit,
    want,
)
from heavyjobs.values import JsonText


class Retrying(Harness):
    @pytest.mark.parametrize("move", [DEATH, CANCEL])
    async def test_a_job_that_is_dead_or_cancelled_starts_afresh_in_the_next_epoch(
        self, store: Store, session: UUID, move: Move
    ) -> None:
        claim = await running(store, session)
        await store.cancel([claim.job])
        cause = Cause(Ending.RAISED, "why")
        await record(store, session, ends=[end(claim, move, error="1", cause=cause)])

        again = await store.retry(claim.job)

        assert again == await job_of(store, claim.job)
        assert (again.state, again.epoch, again.attempt, again.claim) == (JobState.READY, 2, 0, claim.number)
        assert (again.result, again.error, again.cause) == (None, None, None)
        assert (again.finished_at, again.cancel_requested_at) == (None, None)
        assert again.ready_at is not None
        claimed = await claim_one(store, session)
        assert (claimed.claim.number, claimed.epoch, claimed.attempt, claimed.unstarted) == (claim.number + 1, 2, 1, 1)
        assert (await store.tick(session, [claimed.claim])).cancels == ()
        assert (await invocation_of(store, claim)).epoch == 1
        assert (await invocation_of(store, claimed.claim)).epoch == 2

    async def test_a_job_cancelled_before_it_ever_ran_can_be_sent_again(self, store: Store, session: UUID) -> None:
        jobs = await submit(store, new_job(delay_seconds=3600))
        await store.cancel(jobs)

        await store.retry(jobs[0])

        assert await claim_ids(store, session) == jobs

    @pytest.mark.parametrize("kept", ["1", None])
    async def test_the_checkpoint_stays_unless_a_fresh_start_is_wanted(
        self,
        store: Store,
        session: UUID,
        kept: str | None,
    ) -> None:
        claim = await running(store, session)
        await store.checkpoint(session, claim, JsonText("1"))
        await finish(store, session, claim, DEATH)

        await store.retry(claim.job, fresh=kept is None)

        assert (await claim_one(store, session)).checkpoint == kept

    async def test_a_job_that_waits_runs_or_succeeded_cannot_be_sent_again(self, store: Store, session: UUID) -> None:
        succeeded = await running(store, session)
        await finish(store, session, succeeded)
        held = await running(store, session)
        ready, scheduled = await submit(store, new_job(), new_job(delay_seconds=60))

        for job in (succeeded.job, held.job, ready, scheduled):
            before = await job_of(store, job)
            with pytest.raises(WrongState):
                await store.retry(job)
            assert await job_of(store, job) == before

    async def test_a_job_whose_unique_key_was_taken_meanwhile_cannot_be_sent_again(self, store: Store, session: UUID) -> None:
        claim = await running(store, session, new_job(unique_key="k"))
        await finish(store, session, claim, DEATH)
        [owner] = await submit(store, new_job(unique_key="k"))

        with pytest.raises(WrongState):
            await store.retry(claim.job)
        assert await state_of(store, claim.job) is JobState.DEAD

        await store.cancel([owner])
        assert (await store.retry(claim.job)).state is JobState.READY

    async def test_a_job_that_was_sent_again_holds_its_unique_key_again(self, store: Store, session: UUID) -> None:
        claim = await running(store, session, new_job(unique_key="k"))
        await finish(store, session, claim, DEATH)
        await store.retry(claim.job)

        [answer] = await store.submit([new_job(unique_key="k")])

        assert (answer.id, answer.created) == (claim.job, False)

    async def test_what_does_not_exist_cannot_be_sent_again(self, store: Store) -> None:
        with pytest.raises(JobNotFound):
            await store.retry(new_id())


class Updating(Harness):
    async def test_what_is_named_changes_and_the_rest_stays(self, store: Store) -> None:
        policy = Policy(timeout_seconds=5.0, memory_bytes=100)
        [job] = await submit(store, new_job(policy=policy))
        before = await job_of(store, job)

        partly = await store.update(job, Changes(priority=9, attempts=7))
        fully = await store.update(
            job, Changes(queue="other", priority=-1, attempts=2, timeout_seconds=8.5, memory_bytes=1 << 40, cpus=0.25)
        )

        assert partly == replace(before, policy=replace(policy, priority=9, attempts=7))
        assert fully == await job_of(store, job)
        assert fully.policy == replace(
            policy, queue="other", priority=-1, attempts=2, timeout_seconds=8.5, memory_bytes=1 << 40, cpus=0.25
        )
        assert fully.ready_at == before.ready_at

    async def test_changing_nothing_is_harmless(self, store: Store) -> None:
        [job] = await submit(store)
        before = await job_of(store, job)

        assert await store.update(job, Changes()) == before

    async def test_a_job_moved_to_another_queue_and_priority_is_claimed_there(self, store: Store, session: UUID) -> None:
        first, second = await submit(store, new_job(), new_job())
        for job, priority in ((first, 1), (second, 2)):
            await store.update(job, Changes(queue="other", priority=priority))

        assert await claim_ids(store, session) == []
        assert await claim_ids(store, session, want(queue="other")) == [second, first]

    async def test_a_delay_counts_from_now_and_zero_makes_ready(self, store: Store, session: UUID) -> None:
        [job] = await submit(store)

        later = await store.update(job, Changes(delay_seconds=3600))
        nobody = await claim_ids(store, session)
        _, seconds = await store.promote(limit=1)
        now = await store.update(job, Changes(delay_seconds=0))

        assert (later.state, later.ready_at) == (JobState.SCHEDULED, None)
        assert later.due_at is not None
        assert nobody == []
        assert seconds is not None
        assert 3590 < seconds <= 3600
        assert (now.state, now.due_at) == (JobState.READY, None)
        assert await claim_ids(store, session) == [job]

    async def test_a_ready_job_that_is_made_ready_keeps_its_place_in_line(self, store: Store, session: UUID) -> None:
        [first] = await submit(store)
        [second] = await submit(store)

        await store.update(first, Changes(delay_seconds=0))

        assert await claim_ids(store, session) == [first, second]

    async def test_a_running_job_keeps_what_it_was_started_with_and_cannot_be_delayed(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)

        changed = await store.update(claim.job, Changes(attempts=9, priority=3))
        with pytest.raises(WrongState):
            await store.update(claim.job, Changes(delay_seconds=1, priority=5))

        assert (changed.state, changed.policy.attempts) == (JobState.RUNNING, 9)
        assert await store.holds(session, claim)
        assert (await job_of(store, claim.job)).policy.priority == 3

    async def test_a_job_that_waits_for_its_next_attempt_can_be_hurried(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await finish(store, session, claim, AGAIN)

        await store.update(claim.job, Changes(delay_seconds=0))

        assert (await claim_one(store, session)).attempt == 2

    @pytest.mark.parametrize("move", [SUCCESS, DEATH, CANCEL])
    async def test_what_has_ended_cannot_be_changed(self, store: Store, session: UUID, move: Move) -> None:
        claim = await running(store, session)
        await finish(store, session, claim, move)
        before = await job_of(store, claim.job)

        with pytest.raises(WrongState):
            await store.update(claim.job, Changes(priority=5))

        assert await job_of(store, claim.job) == before

    async def test_what_does_not_exist_cannot_be_changed(self, store: Store) -> None:
        with pytest.raises(JobNotFound):
            await store.update(new_id(), Changes(priority=1))
