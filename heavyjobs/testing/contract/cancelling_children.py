"""Promises about cancelling children for their parent: only those of a claim that holds, for the next one has them too."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from heavyjobs.errors import ClaimLost
from heavyjobs.model import ClaimKey, JobState, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter
from heavyjobs.testing.contract.harness import (
    CANCEL,
    Harness,
    MoreStores,
    finish,
    forfeit,
    job_of,
    new_job,
    register,
    running,
    state_of,
    submit,
    take,
    want,
)
from heavyjobs.testing.contract.spawning import AFTER, CHILD, Deed, cancelling, child_of, parent_claim, run_child, spawn

OVER = {why: deed for why, deed in AFTER.items() if deed is not cancelling}
"""What ends a claim; a request to stop it does not."""


class CancellingChildren(Harness):
    async def test_a_parent_cancels_its_children_with_all_below_them(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        runs, waits, kept = await spawn(store, session, parent, "runs", "waits", "kept")
        [claimed] = await take(store, session, want(CHILD, room=1))
        assert claimed.claim.job == runs.id
        [below] = await spawn(store, session, claimed.claim, "below")

        await store.cancel_children(session, parent, [runs.id, waits.id])

        assert [order.claim for order in (await store.tick(session, [claimed.claim, parent])).cancels] == [claimed.claim]
        assert [await state_of(store, job) for job in (waits.id, below.id)] == [JobState.CANCELLED] * 2
        assert await state_of(store, kept.id) is JobState.READY
        assert await finish(store, session, claimed.claim, CANCEL) is JobState.CANCELLED

    async def test_cancelling_children_twice_or_those_that_have_ended_changes_nothing(
        self, store: Store, session: UUID
    ) -> None:
        parent = await running(store, session)
        [done] = await spawn(store, session, parent, "done")
        await finish(store, session, await run_child(store, session))
        [waits] = await spawn(store, session, parent, "waits")
        await store.cancel_children(session, parent, [waits.id])
        before = await store.list(Filter(parent=parent.job))

        await store.cancel_children(session, parent, [waits.id, done.id])

        assert await store.list(Filter(parent=parent.job)) == before

    async def test_only_children_of_the_job_are_cancelled(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "child")
        held = await run_child(store, session)
        [below] = await spawn(store, session, held, "below")
        [stranger] = await submit(store, new_job(kind="demo.stranger"))
        jobs = [parent.job, below.id, stranger, new_id()]

        await store.cancel_children(session, parent, jobs)
        await store.cancel_children(session, parent, [])

        assert (await store.tick(session, [parent, held])).cancels == ()
        assert [await state_of(store, job) for job in (below.id, stranger)] == [JobState.READY] * 2
        assert await state_of(store, child.id) is JobState.RUNNING

    async def test_a_parent_that_is_to_stop_may_cancel_its_children(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "child")
        await store.cancel([parent.job])

        await store.cancel_children(session, parent, [child.id])

        assert await state_of(store, child.id) is JobState.CANCELLED

    # -- claims that do not hold

    @pytest.mark.fault("fencing: children cancelled under a lost claim")
    @pytest.mark.parametrize("deed", OVER.values(), ids=OVER)
    async def test_a_claim_that_is_over_cancels_no_children(self, store: Store, session: UUID, deed: Deed) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "child")
        await deed(store, session, parent)
        before = await job_of(store, child.id)

        with pytest.raises(ClaimLost):
            await store.cancel_children(session, parent, [child.id])

        assert await job_of(store, child.id) == before

    async def test_what_the_next_claim_has_sent_again_is_not_cancelled_by_the_last(self, store: Store) -> None:
        frozen, next_one = await register(store, "frozen"), await register(store, "next")
        stale = await running(store, frozen)
        [child] = await spawn(store, frozen, stale, "child")
        await store.cancel([child.id])
        await forfeit(store, next_one, frozen)
        await spawn(store, next_one, await parent_claim(store, next_one), "child")

        with pytest.raises(ClaimLost):
            await store.cancel_children(frozen, stale, [child.id])

        assert await state_of(store, child.id) is JobState.READY

    async def test_only_the_holder_of_the_claim_may_cancel_its_children(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "child")

        for who, claim in (
            (await register(store), parent),
            (new_id(), parent),
            (session, ClaimKey(parent.job, parent.number + 1)),
            (session, ClaimKey(new_id(), 1)),
        ):
            with pytest.raises(ClaimLost):
                await store.cancel_children(who, claim, [child.id])
        assert await state_of(store, child.id) is JobState.READY

    async def test_children_are_cancelled_before_their_parent_changes_hands_or_not_at_all(
        self, store: Store, more_stores: MoreStores
    ) -> None:
        other = await more_stores()
        for _ in range(20):
            session, observer = await register(store), await register(store, "observer")
            parent = await running(store, session, new_job(policy=Policy(attempts=3)))
            [child] = await spawn(store, session, parent, "child")

            cancelled, _ = await asyncio.gather(
                store.cancel_children(session, parent, [child.id]), forfeit(other, observer, session), return_exceptions=True
            )

            assert cancelled is None or isinstance(cancelled, ClaimLost), cancelled
            expected = JobState.READY if isinstance(cancelled, ClaimLost) else JobState.CANCELLED
            assert await state_of(store, child.id) is expected
            await store.cancel([parent.job])

    @pytest.mark.fault("time: children with ids from a clock behind their parent's, cancelled by two at once")
    async def test_a_parent_that_cancels_its_children_while_it_is_cancelled_waits_for_nobody(
        self, store: Store, more_stores: MoreStores, session: UUID
    ) -> None:
        """Also where the children's ids sort before the parent's, for a clock of another host made them."""
        other = await more_stores()
        for _ in range(40):
            *children, own = sorted(new_id() for _ in range(4))
            parent = await running(store, session, new_job(job=own))
            await store.spawn(session, parent, [child_of(parent, str(job), job=job) for job in children])

            await asyncio.gather(store.cancel_children(session, parent, children), other.cancel([parent.job]))

            assert [await state_of(store, child) for child in children] == [JobState.CANCELLED] * 3
            await finish(store, session, parent, CANCEL)
