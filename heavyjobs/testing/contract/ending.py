"""Promises about ends: written once per claim, whatever is repeated or comes late, with the job where it belongs."""

from __future__ import annotations

from uuid import UUID

import pytest

from heavyjobs.model import Bill, Cause, ClaimKey, JobState, Move
from heavyjobs.model import Ending as How
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import CancelAnswer
from heavyjobs.testing.contract.harness import (
    AGAIN,
    CANCEL,
    DEATH,
    HAND_BACK,
    STILL_ALIVE,
    SUCCESS,
    Harness,
    chunk,
    claim_ids,
    claim_one,
    end,
    finish,
    forfeit,
    invocation_of,
    job_of,
    new_job,
    news,
    record,
    register,
    running,
    state_of,
    submit,
    take,
)

RAISED = Cause(How.RAISED, "division by zero", "ZeroDivisionError", "Traceback …\n  1 / 0", None, None)


class Ending(Harness):
    async def test_a_success_keeps_its_result_bill_and_last_status(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        bill = Bill(2.5, 1.25, 1 << 33, 10, 20)

        recorded = await record(
            store, session, ends=[end(claim, status='"last"', bill=bill, result='{"z":1,"a":2.50}', log_dropped_lines=3)]
        )

        assert recorded.ended == {claim: JobState.SUCCEEDED}
        job = await job_of(store, claim.job)
        assert (job.state, job.result, job.error, job.cause, job.attempt) == (
            JobState.SUCCEEDED,
            '{"z":1,"a":2.50}',
            None,
            None,
            1,
        )
        assert job.finished_at is not None
        assert job.due_at is job.ready_at is None
        invocation = await invocation_of(store, claim)
        assert (invocation.ending, invocation.cause) == (How.SUCCEEDED, None)
        assert (invocation.status, invocation.bill, invocation.log_dropped_lines) == ('"last"', bill, 3)
        assert invocation.started_at is not None
        assert invocation.ended_at is not None

    async def test_a_death_keeps_its_error_and_cause(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        cause = Cause(How.FAILED, "cannot read", "Unreadable")

        await record(store, session, ends=[end(claim, DEATH, How.FAILED, error='{"path":"x"}', cause=cause)])

        job = await job_of(store, claim.job)
        assert (job.state, job.error, job.result, job.cause) == (JobState.DEAD, '{"path":"x"}', None, cause)
        assert job.finished_at is not None
        assert (await invocation_of(store, claim)).cause == cause

    @pytest.mark.parametrize("how", [how for how in How if how not in {How.SUCCEEDED, How.FORFEITED}])
    @pytest.mark.parametrize("move", [DEATH, CANCEL, AGAIN, Move(JobState.READY), HAND_BACK])
    async def test_every_ending_is_kept_as_it_was_and_moves_the_job_as_it_was_told(
        self, store: Store, session: UUID, how: How, move: Move
    ) -> None:
        claim = await running(store, session)
        cause = Cause(how, "why", "Type", "text", 3, 9)

        recorded = await record(store, session, ends=[end(claim, move, how, cause=cause)])

        assert recorded.ended == {claim: move.state}
        job, invocation = await job_of(store, claim.job), await invocation_of(store, claim)
        assert (invocation.ending, invocation.cause) == (how, cause)
        assert invocation.ended_at is not None
        assert job.state is move.state
        assert job.cause == (cause if move.state.ended else None)
        assert (job.finished_at is not None) == move.state.ended
        assert (job.due_at is not None) == (move.state is JobState.SCHEDULED)
        assert (job.ready_at is not None) == (move.state is JobState.READY)

    async def test_a_delayed_move_is_due_after_its_delay(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)

        await record(store, session, ends=[end(claim, Move(JobState.SCHEDULED, delay_seconds=90.0))])

        moved, seconds = await store.promote(limit=10)
        assert moved == 0
        assert seconds is not None
        assert 80 < seconds <= 90

    async def test_a_charged_end_costs_an_attempt_and_a_free_one_gives_it_back(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await record(store, session, progress=[news(claim)])
        await finish(store, session, claim, HAND_BACK)
        refunded = (await job_of(store, claim.job)).attempt

        second = await claim_one(store, session)
        await finish(store, session, second.claim, Move(JobState.READY))
        third = await claim_one(store, session)

        assert refunded == 0
        assert (second.attempt, third.attempt) == (1, 2)
        assert (second.unstarted, third.unstarted) == (1, 1)

    async def test_claims_that_never_started_are_counted_until_one_starts(self, store: Store, session: UUID) -> None:
        await submit(store)
        counts: list[int] = []
        for started in (None, None, 0.0, None):
            claimed = await claim_one(store, session)
            counts.append(claimed.unstarted)
            await record(store, session, ends=[end(claimed.claim, HAND_BACK, How.HANDED_BACK, started=started)])

        counts.append((await claim_one(store, session)).unstarted)

        assert counts == [1, 2, 3, 1, 2]

    # -- repeated and late

    @pytest.mark.parametrize("move", [SUCCESS, DEATH, CANCEL, AGAIN, HAND_BACK])
    async def test_an_end_whose_acknowledgement_was_lost_is_read_back_as_written(
        self, store: Store, session: UUID, move: Move
    ) -> None:
        claim = await running(store, session)
        cause = None if move is SUCCESS else RAISED
        batch = [chunk(claim, 0, "last words")]
        ends = [end(claim, move, result="1", cause=cause)]
        await record(store, session, progress=[news(claim)], logs=batch, ends=ends)
        job = await job_of(store, claim.job)

        again = await record(store, session, progress=[news(claim)], logs=batch, ends=ends)

        assert (again.lost, again.ended) == (frozenset(), {claim: move.state})
        assert await job_of(store, claim.job) == job
        assert (await invocation_of(store, claim)).log_lines == 1

    async def test_a_second_end_of_a_claim_is_told_where_the_first_sent_the_job(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await record(store, session, ends=[end(claim, HAND_BACK)])

        second = await record(store, session, ends=[end(claim, SUCCESS, result="1")])

        assert second.ended == {claim: JobState.READY}
        assert await state_of(store, claim.job) is JobState.READY

    async def test_an_end_repeated_after_the_job_ran_on_leaves_the_new_run_alone(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        ends = [end(claim, HAND_BACK)]
        await record(store, session, ends=ends)
        newer = (await claim_one(store, session)).claim

        again = await record(store, session, ends=ends)

        assert again.lost == frozenset()
        assert again.ended == {claim: JobState.READY}
        assert await state_of(store, claim.job) is JobState.RUNNING
        assert await store.holds(session, newer)

    async def test_a_success_repeated_after_a_retry_of_a_death_elsewhere_ends_nothing(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)
        ends = [end(claim, DEATH, cause=RAISED)]
        await record(store, session, ends=ends)
        await store.retry(claim.job)

        again = await record(store, session, ends=ends)

        assert again.ended == {claim: JobState.DEAD}
        assert await state_of(store, claim.job) is JobState.READY

    async def test_a_late_end_of_a_forfeited_claim_changes_nothing_and_is_lost(self, store: Store, session: UUID) -> None:
        """Also when the late party has a session that is alive: it holds the claim no longer."""
        silent = await register(store)
        claim = await running(store, silent)
        await forfeit(store, session, silent)
        newer = (await claim_one(store, session)).claim

        recorded = await record(store, session, logs=[chunk(claim, 0, "late")], ends=[end(claim, result='"late"')])

        assert (recorded.lost, recorded.ended) == (frozenset({claim}), {})
        job = await job_of(store, claim.job)
        assert (job.state, job.claim, job.result) == (JobState.RUNNING, newer.number, None)
        assert (await invocation_of(store, claim)).ending is How.FORFEITED

    async def test_one_lost_claim_does_not_spoil_the_others_of_its_batch(self, store: Store, session: UUID) -> None:
        other = await register(store)
        theirs, mine = await running(store, other), await running(store, session)

        recorded = await record(store, session, ends=[end(theirs), end(mine)])

        assert (recorded.lost, recorded.ended) == (frozenset({theirs}), {mine: JobState.SUCCEEDED})

    async def test_the_log_of_an_ended_invocation_is_closed(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await record(store, session, logs=[chunk(claim, 0, "one")], ends=[end(claim)])

        recorded = await record(store, session, logs=[chunk(claim, 1, "after the end")])

        assert recorded.lost == {claim}
        assert list(await store.logs(claim.job, claim=1, first=0)) == [chunk(claim, 0, "one")]

    async def test_the_last_lines_are_readable_as_soon_as_the_outcome_is(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)

        await record(store, session, logs=[chunk(claim, 0, "last words")], ends=[end(claim, DEATH, cause=RAISED)])

        brief = (await store.briefs([claim.job]))[claim.job]
        assert (brief.state, brief.log_lines) == (JobState.DEAD, 1)
        assert list(await store.logs(claim.job, claim=1, first=0)) == [chunk(claim, 0, "last words")]

    # -- with a cancel request

    @pytest.mark.parametrize("move", [DEATH, CANCEL, HAND_BACK, *STILL_ALIVE])
    async def test_a_cancel_request_turns_every_move_but_success_into_cancelled(
        self, store: Store, session: UUID, move: Move
    ) -> None:
        claim = await running(store, session)
        assert await store.cancel([claim.job]) == {claim.job: CancelAnswer.REQUESTED}

        recorded = await record(store, session, ends=[end(claim, move, How.RAISED, cause=RAISED)])

        assert recorded.ended == {claim: JobState.CANCELLED}
        job = await job_of(store, claim.job)
        assert (job.state, job.cause, job.due_at, job.ready_at) == (JobState.CANCELLED, RAISED, None, None)
        assert job.finished_at is not None
        assert job.cancel_requested_at is None
        assert (await invocation_of(store, claim)).ending is How.RAISED
        assert await claim_ids(store, session) == []

    async def test_a_success_stands_in_spite_of_a_cancel_request(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await store.cancel([claim.job])

        recorded = await record(store, session, ends=[end(claim, result="1")])

        assert recorded.ended == {claim: JobState.SUCCEEDED}
        assert (await job_of(store, claim.job)).result == "1"

    async def test_a_cancelled_end_repeated_is_read_back_as_cancelled(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await store.cancel([claim.job])
        ends = [end(claim, AGAIN, cause=RAISED)]
        await record(store, session, ends=ends)

        again = await record(store, session, ends=ends)

        assert again.ended == {claim: JobState.CANCELLED}

    # -- families

    @pytest.mark.parametrize("move", [DEATH, CANCEL])
    async def test_the_live_descendants_of_a_dead_or_cancelled_job_are_cancelled(
        self, store: Store, session: UUID, move: Move
    ) -> None:
        root = await running(store, session)
        family = await _family(store, session, root)

        await finish(store, session, root, move)

        assert await state_of(store, family.waiting) is JobState.CANCELLED
        assert await state_of(store, family.scheduled) is JobState.CANCELLED
        assert await state_of(store, family.below_the_ended) is JobState.CANCELLED
        assert await state_of(store, family.ended) is JobState.SUCCEEDED
        assert (await job_of(store, family.running.job)).cancel_requested_at is not None
        orders = (await store.tick(session, [family.running])).cancels
        assert [(order.claim, order.grace_seconds) for order in orders] == [(family.running, None)]

    @pytest.mark.parametrize("move", [SUCCESS, AGAIN, HAND_BACK])
    async def test_the_descendants_of_a_job_that_succeeded_or_goes_on_live(
        self, store: Store, session: UUID, move: Move
    ) -> None:
        root = await running(store, session)
        family = await _family(store, session, root)

        await finish(store, session, root, move)

        assert await state_of(store, family.waiting) is JobState.READY
        assert await state_of(store, family.scheduled) is JobState.SCHEDULED
        assert (await job_of(store, family.running.job)).cancel_requested_at is None

    async def test_one_batch_may_end_parent_and_child_together(self, store: Store, session: UUID) -> None:
        root = await running(store, session)
        child = await running(store, session, new_job(parent=root.job, depth=1))

        recorded = await record(store, session, ends=[end(root, DEATH), end(child)])

        assert recorded.ended == {root: JobState.DEAD, child: JobState.SUCCEEDED}


class _Family:
    """A root's descendants: one that runs, one that waits, one scheduled, one that succeeded, and one below the latter."""

    def __init__(self, running: ClaimKey, waiting: UUID, scheduled: UUID, ended: UUID, below_the_ended: UUID) -> None:
        self.running = running
        self.waiting = waiting
        self.scheduled = scheduled
        self.ended = ended
        self.below_the_ended = below_the_ended


async def _family(store: Store, session: UUID, root: ClaimKey) -> _Family:
    await submit(store, new_job(parent=root.job, depth=1), new_job(parent=root.job, depth=1))
    first, second = [claimed.claim for claimed in await take(store, session)]
    await finish(store, session, second)
    waiting, scheduled, below = await submit(
        store,
        new_job(parent=root.job, depth=1),
        new_job(parent=first.job, depth=2, delay_seconds=3600),
        new_job(parent=second.job, depth=2),
    )
    return _Family(first, waiting, scheduled, second.job, below)
