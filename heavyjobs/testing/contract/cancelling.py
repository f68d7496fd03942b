"""Promises about cancelling: what waits is cancelled at once, what runs is asked, what has ended stays as it is."""

from __future__ import annotations

from uuid import UUID

from heavyjobs.model import Cause, ClaimKey, Ending, JobState, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import CancelAnswer, Filter
from heavyjobs.testing.contract.harness import (
    AGAIN,
    CANCEL,
    DEATH,
    HAND_BACK,
    Harness,
    claim_ids,
    end,
    finish,
    job_of,
    new_job,
    record,
    register,
    running,
    state_of,
    submit,
)


class Cancelling(Harness):
    async def test_what_waits_is_cancelled_at_once_and_never_runs(self, store: Store, session: UUID) -> None:
        ready, scheduled = await submit(store, new_job(), new_job(delay_seconds=3600))

        answers = await store.cancel([ready, scheduled])

        assert answers == {ready: CancelAnswer.CANCELLED, scheduled: CancelAnswer.CANCELLED}
        for job in (ready, scheduled):
            found = await job_of(store, job)
            assert (found.state, found.ready_at, found.due_at) == (JobState.CANCELLED, None, None)
            assert found.finished_at is not None
        assert await claim_ids(store, session) == []

    async def test_what_was_cancelled_while_it_waited_has_a_cause_that_says_so(self, store: Store, session: UUID) -> None:
        again = await running(store, session)
        await finish(store, session, again, AGAIN)
        [root] = await submit(store, new_job(kind="demo.root"))
        below, scheduled = await submit(
            store, new_job(parent=root, depth=1), new_job(parent=root, depth=1, delay_seconds=3600)
        )  # fmt: skip

        await store.cancel([root, again.job])

        waited = Cause(Ending.CANCELLED, "cancelled while it waited")
        for job in (root, below, scheduled, again.job):
            assert (await job_of(store, job)).cause == waited
        assert {job.id: job.cause for job in await store.list(Filter())} == dict.fromkeys(
            (root, below, scheduled, again.job), waited
        )
        assert (await store.retry(root)).cause is None

    async def test_the_waiting_children_of_a_job_that_died_have_a_cause_too(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await submit(store, new_job(parent=parent.job, depth=1))

        await record(store, session, ends=[end(parent, DEATH, cause=Cause(Ending.RAISED, "why"))])

        assert (await job_of(store, parent.job)).cause == Cause(Ending.RAISED, "why")
        assert (await job_of(store, child)).cause == Cause(Ending.CANCELLED, "cancelled while it waited")

    async def test_the_cause_of_what_was_cancelled_as_it_ran_is_that_of_its_end(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await store.cancel([claim.job])
        assert (await job_of(store, claim.job)).cause is None

        await record(store, session, ends=[end(claim, CANCEL, cause=Cause(Ending.CANCELLED, "stopped"))])

        assert (await job_of(store, claim.job)).cause == Cause(Ending.CANCELLED, "stopped")

    async def test_what_runs_goes_on_until_its_coordinator_stops_it(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)

        answers = await store.cancel([claim.job], grace_seconds=2.5)

        assert answers == {claim.job: CancelAnswer.REQUESTED}
        found = await job_of(store, claim.job)
        assert found.state is JobState.RUNNING
        assert found.cancel_requested_at is not None
        assert await store.holds(session, claim)
        assert [(order.claim, order.grace_seconds) for order in (await store.tick(session, [claim])).cancels] == [(claim, 2.5)]

    async def test_asking_again_keeps_the_first_request_and_may_shorten_the_grace(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await store.cancel([claim.job])
        first = (await job_of(store, claim.job)).cancel_requested_at

        assert await store.cancel([claim.job], grace_seconds=1.0) == {claim.job: CancelAnswer.REQUESTED}

        assert (await job_of(store, claim.job)).cancel_requested_at == first
        assert [order.grace_seconds for order in (await store.tick(session, [claim])).cancels] == [1.0]

    async def test_what_has_ended_and_its_children_stay_as_they_are(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        [child] = await submit(store, new_job(kind="demo.child", parent=claim.job, depth=1))
        await finish(store, session, claim)
        before = await job_of(store, claim.job)

        answers = await store.cancel([claim.job])

        assert answers == {claim.job: CancelAnswer.ENDED}
        assert await job_of(store, claim.job) == before
        assert await state_of(store, child) is JobState.READY

    async def test_cancelling_twice_says_that_it_had_ended(self, store: Store) -> None:
        jobs = await submit(store)
        await store.cancel(jobs)

        assert await store.cancel(jobs) == {jobs[0]: CancelAnswer.ENDED}

    async def test_ids_that_do_not_exist_have_no_answer(self, store: Store) -> None:
        [job] = await submit(store)

        assert await store.cancel([new_id(), job]) == {job: CancelAnswer.CANCELLED}
        assert await store.cancel([]) == {}

    async def test_all_live_descendants_are_cancelled_whatever_lies_between(self, store: Store, session: UUID) -> None:
        [root] = await submit(store, new_job(kind="demo.root"))
        first = await running(store, session, new_job(parent=root, depth=1))
        second = await running(store, session, new_job(parent=first.job, depth=2))
        await finish(store, session, second)
        below, scheduled, stranger = await submit(
            store,
            new_job(parent=second.job, depth=3),
            new_job(parent=second.job, depth=3, delay_seconds=60),
            new_job(parent=new_id(), depth=1),
        )

        answers = await store.cancel([root], grace_seconds=3.0)

        assert answers == {root: CancelAnswer.CANCELLED}
        assert [await state_of(store, job) for job in (below, scheduled)] == [JobState.CANCELLED] * 2
        assert await state_of(store, second.job) is JobState.SUCCEEDED
        assert await state_of(store, stranger) is JobState.READY
        orders = (await store.tick(session, [first])).cancels
        assert [(order.claim, order.grace_seconds) for order in orders] == [(first, 3.0)]

    async def test_a_job_and_its_child_may_be_named_together(self, store: Store) -> None:
        [root] = await submit(store)
        [child] = await submit(store, new_job(parent=root, depth=1))

        answers = await store.cancel([child, root, root])

        assert answers == {root: CancelAnswer.CANCELLED, child: CancelAnswer.CANCELLED}

    async def test_a_cancel_between_two_runs_cancels_the_waiting_job(self, store: Store, session: UUID) -> None:
        for move in (AGAIN, HAND_BACK):
            claim = await running(store, session)
            await finish(store, session, claim, move)

            assert await store.cancel([claim.job]) == {claim.job: CancelAnswer.CANCELLED}

    async def test_only_the_session_that_holds_the_claim_is_told(self, store: Store, session: UUID) -> None:
        other = await register(store)
        mine, theirs = await running(store, session), await running(store, other)
        await store.cancel([mine.job, theirs.job])

        tick = await store.tick(session, [mine, theirs, ClaimKey(mine.job, mine.number + 1)])

        assert [order.claim for order in tick.cancels] == [mine]
        assert set(tick.lost) == {theirs, ClaimKey(mine.job, mine.number + 1)}

    async def test_with_many_jobs_each_has_its_answer(self, store: Store) -> None:
        jobs = await submit(store, *(new_job() for _ in range(500)))

        assert await store.cancel(jobs) == dict.fromkeys(jobs, CancelAnswer.CANCELLED)
