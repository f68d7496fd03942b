"""Promises about spawning: children appear only under a live claim, once for each key, and are tried again with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from uuid import UUID

import pytest

from heavyjobs.errors import ClaimLost, Unstorable
from heavyjobs.model import ClaimKey, JobState, Move, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter, NewJob, Submitted
from heavyjobs.testing.contract.harness import (
    AGAIN,
    CANCEL,
    DEATH,
    HAND_BACK,
    SUCCESS,
    Harness,
    MoreStores,
    claim_one,
    finish,
    forfeit,
    job_of,
    new_job,
    news,
    register,
    running,
    state_of,
    submit,
    take,
    want,
)
from heavyjobs.values import JsonText

CHILD: Final = "demo.child"
ONCE: Final = Policy(attempts=1)

Deed: TypeAlias = Callable[[Store, UUID, ClaimKey], Awaitable[object]]


def child_of(
    parent: ClaimKey, key: str = "a", *, job: UUID | None = None, kind: str = CHILD, parameters: JsonText | None = None
) -> NewJob:
    return new_job(job=job, kind=kind, parent=parent.job, child_key=key, depth=1, parameters=parameters or JsonText("{}"))


async def spawn(store: Store, session: UUID, parent: ClaimKey, *keys: str) -> list[Submitted]:
    return [*await store.spawn(session, parent, [child_of(parent, key) for key in keys])]


async def children_of(store: Store, parent: ClaimKey) -> list[UUID]:
    return [child.id for child in await store.list(Filter(parent=parent.job))]


async def run_child(store: Store, session: UUID) -> ClaimKey:
    """Claim the one child that is ready."""
    [claimed] = await take(store, session, want(CHILD))
    return claimed.claim


def ending(move: Move) -> Deed:
    async def do(store: Store, session: UUID, claim: ClaimKey) -> None:
        await finish(store, session, claim, move)

    return do


async def cancelling(store: Store, _session: UUID, claim: ClaimKey) -> None:
    await store.cancel([claim.job])


async def cancelling_to_the_end(store: Store, session: UUID, claim: ClaimKey) -> None:
    await store.cancel([claim.job])
    await finish(store, session, claim, CANCEL)


async def forfeiting(store: Store, session: UUID, _claim: ClaimKey) -> None:
    await forfeit(store, await register(store, "observer"), session)


async def claiming_anew(store: Store, session: UUID, claim: ClaimKey) -> None:
    await finish(store, session, claim, HAND_BACK)
    await claim_one(store, session)


AFTER: Final[dict[str, Deed]] = {
    "the parent succeeded": ending(SUCCESS),
    "the parent died": ending(DEATH),
    "the parent was put off": ending(AGAIN),
    "the parent was handed back": ending(HAND_BACK),
    "the parent was claimed again": claiming_anew,
    "a cancel was requested": cancelling,
    "the parent was cancelled": cancelling_to_the_end,
    "the session was declared dead": forfeiting,
}


class Spawning(Harness):
    async def test_a_spawned_job_is_ready_and_has_all_it_was_given(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        child = child_of(parent, parameters=JsonText('{"n":2}'))

        [answer] = await store.spawn(session, parent, [child])

        assert (answer.id, answer.created, answer.kind, answer.parameters) == (child.id, True, CHILD, '{"n":2}')
        found = await job_of(store, child.id)
        assert (found.state, found.parent, found.child_key, found.depth) == (JobState.READY, parent.job, "a", 1)

    async def test_the_same_key_finds_the_same_child_in_the_same_order(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        first = await spawn(store, session, parent, "a", "b")

        again = await spawn(store, session, parent, "c", "b", "a", "a")

        assert [answer.created for answer in again] == [True, False, False, False]
        assert [answer.id for answer in again[1:]] == [first[1].id, first[0].id, first[0].id]
        assert len(await children_of(store, parent)) == 3

    async def test_spawning_nothing_is_harmless(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)

        assert list(await store.spawn(session, parent, [])) == []

    @pytest.mark.parametrize("deed", AFTER.values(), ids=AFTER)
    async def test_a_late_spawn_inserts_nothing(self, store: Store, session: UUID, deed: Deed) -> None:
        parent = await running(store, session)
        await spawn(store, session, parent, "early")
        await deed(store, session, parent)
        before = await store.list(Filter(parent=parent.job))

        with pytest.raises(ClaimLost):
            await spawn(store, session, parent, "early", "late")

        assert await store.list(Filter(parent=parent.job)) == before
        assert len(before) == 1

    async def test_only_the_holder_of_the_claim_may_spawn(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)

        for who, claim in (
            (await register(store), parent),
            (new_id(), parent),
            (session, ClaimKey(parent.job, parent.number + 1)),
            (session, ClaimKey(new_id(), 1)),
        ):
            with pytest.raises(ClaimLost):
                await store.spawn(who, claim, [child_of(parent)])
        assert await children_of(store, parent) == []

    async def test_a_child_that_cannot_be_stored_is_refused_with_its_siblings(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)

        with pytest.raises(Unstorable):
            await spawn(store, session, parent, "a", "b\0c")

        assert await children_of(store, parent) == []
        await finish(store, session, parent)

    # -- together with others

    @pytest.mark.parametrize("deed", [cancelling, ending(DEATH), forfeiting], ids=["cancel", "death", "forfeit"])
    async def test_a_parent_that_ends_while_it_spawns_leaves_no_live_child(
        self, store: Store, more_stores: MoreStores, deed: Deed
    ) -> None:
        other = await more_stores()
        for _ in range(20):
            session = await register(store)
            parent = await running(store, session, new_job(policy=ONCE))
            await store.record(session, progress=[news(parent)], logs=[], ends=[])

            spawned, _ = await asyncio.gather(
                spawn(store, session, parent, "a", "b", "c"), deed(other, session, parent), return_exceptions=True
            )

            assert isinstance(spawned, ClaimLost | list), spawned
            expected = [JobState.CANCELLED] * 3 if isinstance(spawned, list) else []
            assert [child.state for child in await store.list(Filter(parent=parent.job))] == expected
            await store.cancel([parent.job])

    async def test_a_cancel_reaches_the_grandchildren_that_are_spawned_meanwhile(
        self, store: Store, more_stores: MoreStores, session: UUID
    ) -> None:
        other = await more_stores()
        for _ in range(20):
            root = await running(store, session)
            await spawn(store, session, root, "a")
            child = await run_child(store, session)

            spawned, _ = await asyncio.gather(
                spawn(store, session, child, "b"), other.cancel([root.job]), return_exceptions=True
            )

            assert isinstance(spawned, ClaimLost | list), spawned
            assert all(job.state is JobState.CANCELLED for job in await store.list(Filter(parent=child.job)))
            await finish(store, session, child, CANCEL)
            await finish(store, session, root, CANCEL)

    # -- tried again with their parent

    async def test_the_children_of_a_cancelled_family_that_is_retried_run_again(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        waits, runs, done = await spawn(store, session, parent, "waits", "runs", "done")
        claims = {claimed.claim.job: claimed.claim for claimed in await take(store, session, want(CHILD))}
        await store.record(session, progress=[news(claims[runs.id])], logs=[], ends=[])
        await finish(store, session, claims[done.id])
        await finish(store, session, claims[waits.id], HAND_BACK)
        await store.cancel([parent.job])
        await finish(store, session, claims[runs.id], CANCEL)
        await finish(store, session, parent, CANCEL)

        await store.retry(parent.job, fresh=True)
        again = await spawn(store, session, await parent_claim(store, session), "waits", "runs", "done")

        assert [(answer.id, answer.created) for answer in again] == [(one.id, False) for one in (waits, runs, done)]
        assert [await state_of(store, one.id) for one in again] == [JobState.READY, JobState.READY, JobState.SUCCEEDED]
        found = await job_of(store, runs.id)
        assert (found.epoch, found.attempt, found.cause, found.finished_at) == (2, 0, None, None)
        assert {claimed.claim.job for claimed in await take(store, session, want(CHILD))} == {waits.id, runs.id}

    async def test_a_parent_that_is_tried_again_tries_its_dead_children_again(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "a")
        died = await run_child(store, session)
        await store.checkpoint(session, died, JsonText("7"))
        await finish(store, session, died, DEATH)
        await finish(store, session, parent, Move(JobState.READY))

        [again] = await spawn(store, session, await parent_claim(store, session), "a")

        assert (again.id, again.created) == (child.id, False)
        [claimed] = await take(store, session, want(CHILD))
        assert (claimed.claim, claimed.epoch, claimed.attempt) == (ClaimKey(child.id, died.number + 1), 2, 1)
        assert claimed.checkpoint == "7"

    @pytest.mark.parametrize("move", [DEATH, CANCEL])
    async def test_a_child_that_died_under_this_claim_is_found_dead(self, store: Store, session: UUID, move: Move) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "a")
        await finish(store, session, await run_child(store, session), move)
        before = await job_of(store, child.id)

        [again] = await spawn(store, session, parent, "a")

        assert (again.id, again.created) == (child.id, False)
        assert await job_of(store, child.id) == before

    async def test_a_child_of_an_earlier_claim_that_dies_after_this_one_found_it_stays_dead(
        self, store: Store, session: UUID
    ) -> None:
        first = await running(store, session)
        [child] = await spawn(store, session, first, "a")
        held = await run_child(store, session)
        await finish(store, session, first, HAND_BACK)
        second = await parent_claim(store, session)
        await spawn(store, session, second, "a")
        await finish(store, session, held, DEATH)

        await spawn(store, session, second, "a")

        assert await state_of(store, child.id) is JobState.DEAD

    async def test_a_child_that_was_sent_again_and_died_again_stays_dead_until_the_next_claim(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)
        [child] = await spawn(store, session, claim, "a")
        for epoch in range(1, 4):
            await finish(store, session, await run_child(store, session), DEATH)
            await spawn(store, session, claim, "a")
            assert await state_of(store, child.id) is JobState.DEAD
            assert (await job_of(store, child.id)).epoch == epoch
            await finish(store, session, claim, HAND_BACK)
            claim = await parent_claim(store, session)
            await spawn(store, session, claim, "a")

    async def test_children_that_were_cancelled_by_themselves_are_tried_again_too(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "a")
        await store.cancel([child.id])
        await finish(store, session, parent, HAND_BACK)

        await spawn(store, session, await parent_claim(store, session), "a")

        assert await state_of(store, child.id) is JobState.READY

    async def test_a_child_whose_key_was_used_is_found_also_when_another_job_has_its_unique_key(
        self, store: Store, session: UUID
    ) -> None:
        parent = await running(store, session)
        [child] = await spawn(store, session, parent, "a")
        await submit(store, new_job(kind=CHILD, unique_key="k"))

        again = new_job(kind=CHILD, parent=parent.job, child_key="a", depth=1, unique_key="k")
        [answer] = await store.spawn(session, parent, [again])

        assert (answer.id, answer.created) == (child.id, False)

    async def test_a_dead_child_whose_unique_key_is_taken_stays_dead(self, store: Store, session: UUID) -> None:
        parent = await running(store, session)
        child = new_job(kind=CHILD, parent=parent.job, child_key="a", depth=1, unique_key="k")
        await store.spawn(session, parent, [child])
        await finish(store, session, await run_child(store, session), DEATH)
        await submit(store, new_job(kind=CHILD, unique_key="k"))
        await finish(store, session, parent, HAND_BACK)

        [answer] = await store.spawn(session, await parent_claim(store, session), [child])

        assert answer.id == child.id
        assert await state_of(store, child.id) is JobState.DEAD

    async def test_a_dead_child_whose_unique_key_is_being_taken_is_sent_again_or_stays_dead(
        self, store: Store, more_stores: MoreStores, session: UUID
    ) -> None:
        other = await more_stores()
        for number in range(20):
            key = f"k{number}"
            parent = await running(store, session)
            child = new_job(kind=CHILD, parent=parent.job, child_key="a", depth=1, unique_key=key)
            await store.spawn(session, parent, [child])
            await finish(store, session, await run_child(store, session), DEATH)
            await finish(store, session, parent, HAND_BACK)
            parent = await parent_claim(store, session)

            [[again], [rival]] = await asyncio.gather(
                store.spawn(session, parent, [child]), other.submit([new_job(kind=CHILD, unique_key=key)])
            )

            assert (again.id, again.created) == (child.id, False)
            assert await state_of(store, child.id) is (JobState.DEAD if rival.created else JobState.READY)
            assert rival.created or rival.id == child.id
            await store.cancel([child.id, rival.id])
            await finish(store, session, parent)

    async def test_of_dead_children_with_one_unique_key_the_oldest_is_tried_again(self, store: Store, session: UUID) -> None:
        def child(key: str, job: UUID | None = None) -> NewJob:
            return new_job(job=job, kind=CHILD, parent=parent.job, child_key=key, depth=1, unique_key="k")

        parent = await running(store, session)
        # Two ids of one millisecond need not be in the order in which they were made.
        for key, job in zip(("b", "a"), sorted((new_id(), new_id())), strict=True):
            await store.spawn(session, parent, [child(key, job)])
            await finish(store, session, await run_child(store, session), DEATH)
        await finish(store, session, parent, HAND_BACK)
        parent = await parent_claim(store, session)

        older, younger = await store.spawn(session, parent, [child("b"), child("a")])

        assert [await state_of(store, one.id) for one in (older, younger)] == [JobState.READY, JobState.DEAD]


async def parent_claim(store: Store, session: UUID) -> ClaimKey:
    """Claim the parent again; children are of another kind."""
    return (await claim_one(store, session)).claim
