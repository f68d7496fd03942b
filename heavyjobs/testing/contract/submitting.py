"""Promises about submitting: every job once, whatever is repeated, and keys that hold exactly as long as they should."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from heavyjobs.errors import UsageError
from heavyjobs.model import JobState, Move, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter, Topic
from heavyjobs.testing.contract.harness import (
    AGAIN,
    CANCEL,
    DEADLINE_SECONDS,
    DEATH,
    HAND_BACK,
    SUCCESS,
    Connect,
    Harness,
    MoreStores,
    OwnConnection,
    claim_ids,
    claim_one,
    finish,
    job_of,
    new_job,
    running,
    submit,
)
from heavyjobs.values import JsonText


class Submitting(Harness):
    async def test_a_submitted_job_is_ready_and_has_all_it_was_given(self, store: Store) -> None:
        policy = Policy("media", -3, 7, 0.1, 33.3, 12.5, 4.25, 0.5, 1 << 40)
        parent = new_id()
        job = new_job(
            version=4,
            parameters=JsonText('{"z":1, "a":[1.50,null]}'),
            policy=policy,
            unique_key="film:1",
            parent=parent,
            child_key="piece:2",
            depth=3,
        )

        await store.submit([job])

        found = await job_of(store, job.id)
        assert (found.id, found.kind, found.version, found.parameters) == (job.id, job.kind, 4, job.parameters)
        assert found.policy == policy
        assert (found.unique_key, found.parent, found.child_key, found.depth) == ("film:1", parent, "piece:2", 3)
        assert found.state is JobState.READY
        assert (found.epoch, found.attempt, found.claim) == (1, 0, 0)
        assert found.created_at.utcoffset() == timedelta(0)
        assert found.ready_at is not None
        assert (found.due_at, found.finished_at, found.cancel_requested_at) == (None, None, None)
        assert (found.result, found.error, found.cause) == (None, None, None)

    async def test_the_absent_timeout_memory_keys_and_parent_stay_absent(self, store: Store) -> None:
        [job] = await submit(store, new_job(policy=Policy()))

        found = await job_of(store, job)

        assert found.policy == Policy()
        assert (found.unique_key, found.parent, found.child_key) == (None, None, None)

    async def test_a_delay_makes_the_job_scheduled_for_that_time(self, store: Store) -> None:
        [job] = await submit(store, new_job(delay_seconds=3600.0))

        found = await job_of(store, job)

        assert found.state is JobState.SCHEDULED
        assert found.ready_at is None
        assert found.due_at is not None
        assert abs((found.due_at - found.created_at).total_seconds() - 3600) < 1

    async def test_answers_come_in_the_order_of_the_jobs(self, store: Store) -> None:
        jobs = [new_job(parameters=JsonText(f"[{number}]")) for number in range(50)]

        answers = await store.submit(jobs)

        assert [(answer.id, answer.parameters) for answer in answers] == [(job.id, job.parameters) for job in jobs]
        assert all(answer.created and answer.kind == jobs[0].kind for answer in answers)

    async def test_submitting_nothing_is_harmless(self, store: Store) -> None:
        assert list(await store.submit([])) == []

    async def test_a_thousand_jobs_in_one_call_are_a_thousand_jobs(self, store: Store) -> None:
        ids = await submit(store, *(new_job() for _ in range(1000)))

        assert set(await store.get_many(ids)) == set(ids)
        assert len(set(ids)) == 1000

    async def test_submitting_the_same_id_again_changes_nothing(self, store: Store, session: UUID) -> None:
        job = new_job()
        await store.submit([job])
        claim = (await claim_one(store, session)).claim

        [again] = await store.submit([job])
        await finish(store, session, claim)
        [late] = await store.submit([job])

        assert (again.id, again.created) == (late.id, late.created) == (job.id, False)
        assert (await job_of(store, job.id)).state is JobState.SUCCEEDED

    async def test_a_repeated_batch_inserts_only_what_was_missing(self, store: Store) -> None:
        first, second, third = new_job(), new_job(), new_job()
        await store.submit([first, third])

        answers = await store.submit([first, second, third])

        assert [answer.created for answer in answers] == [False, True, False]
        assert [answer.id for answer in answers] == [first.id, second.id, third.id]

    # -- unique keys

    async def test_a_unique_key_in_use_answers_with_the_job_that_has_it(self, store: Store) -> None:
        [first] = await submit(store, new_job(unique_key="k", parameters=JsonText("[1]")))

        [answer] = await store.submit([new_job(unique_key="k", parameters=JsonText("[2]"))])

        assert (answer.id, answer.created, answer.parameters) == (first, False, "[1]")
        assert len(await store.list(Filter())) == 1

    async def test_a_unique_key_twice_in_one_batch_is_one_job(self, store: Store) -> None:
        first, second = await store.submit([new_job(unique_key="k"), new_job(unique_key="k")])

        assert first.id == second.id
        assert (first.created, second.created) == (True, False)

    async def test_the_same_unique_key_of_another_kind_is_another_job(self, store: Store) -> None:
        answers = await store.submit([new_job(unique_key="k"), new_job(unique_key="k", kind="demo.other")])

        assert all(answer.created for answer in answers)

    async def test_two_submitters_of_one_unique_key_get_one_job(self, store: Store, more_stores: MoreStores) -> None:
        other = await more_stores()

        answers = await asyncio.gather(
            *(party.submit([new_job(unique_key=f"k{key}")]) for key in range(20) for party in (store, other))
        )

        assert sum(answer.created for [answer] in answers) == 20
        assert len({answer.id for [answer] in answers}) == 20

    async def test_a_unique_key_stays_taken_while_the_job_waits_or_runs(self, store: Store, session: UUID) -> None:
        async def owner() -> UUID:
            [answer] = await store.submit([new_job(unique_key="k")])
            assert not answer.created
            return answer.id

        claim = await running(store, session, new_job(unique_key="k"))
        assert await owner() == claim.job
        await finish(store, session, claim, HAND_BACK)
        assert await owner() == claim.job
        claim = (await claim_one(store, session)).claim
        await finish(store, session, claim, AGAIN)
        assert await owner() == claim.job

    @pytest.mark.parametrize("move", [SUCCESS, DEATH, CANCEL])
    async def test_a_unique_key_is_free_again_once_its_job_has_ended(self, store: Store, session: UUID, move: Move) -> None:
        claim = await running(store, session, new_job(unique_key="k"))
        await finish(store, session, claim, move)

        [answer] = await store.submit([new_job(unique_key="k")])

        assert answer.created
        assert answer.id != claim.job
        assert (await job_of(store, claim.job)).unique_key == "k"

    async def test_a_unique_key_is_free_again_once_a_waiting_job_is_cancelled(self, store: Store) -> None:
        [first] = await submit(store, new_job(unique_key="k"))
        await store.cancel([first])

        [answer] = await store.submit([new_job(unique_key="k")])

        assert answer.created

    # -- children

    async def test_the_same_child_key_finds_the_same_child_even_when_it_has_ended(self, store: Store, session: UUID) -> None:
        parent = new_id()
        child = new_job(parent=parent, child_key="piece", parameters=JsonText("[1]"), depth=1)
        claim = await running(store, session, child)
        await finish(store, session, claim)

        [answer] = await store.submit([new_job(parent=parent, child_key="piece", parameters=JsonText("[2]"), depth=1)])

        assert (answer.id, answer.created, answer.kind, answer.parameters) == (child.id, False, child.kind, "[1]")

    async def test_other_parents_and_other_keys_have_other_children(self, store: Store) -> None:
        parents = [new_id(), new_id()]

        answers = await store.submit(
            [new_job(parent=parent, child_key=key, depth=1) for parent in parents for key in ("a", "b", None, None)]
        )

        assert all(answer.created for answer in answers)


class SubmittingWithin(Harness):
    @pytest.fixture
    def own(self, store: Store, connect: Connect) -> Iterator[OwnConnection]:
        assert store.url
        with closing(connect()) as connection:
            yield connection

    async def test_a_job_of_the_callers_transaction_exists_once_that_commits(self, store: Store, own: OwnConnection) -> None:
        job = new_job()

        [answer] = store.submit_within_sync(own, [job])
        before = await store.get(job.id)
        own.commit()

        assert (answer.id, answer.created) == (job.id, True)
        assert before is None
        assert await store.get(job.id) is not None

    async def test_a_job_of_the_callers_transaction_is_gone_with_its_rollback(
        self, store: Store, own: OwnConnection, session: UUID
    ) -> None:
        job = new_job(unique_key="k")
        store.submit_within_sync(own, [job])
        own.rollback()

        assert await store.get(job.id) is None
        assert await claim_ids(store, session) == []
        assert (await store.submit([new_job(unique_key="k")]))[0].created

    async def test_keys_hold_in_the_callers_transaction_too(self, store: Store, own: OwnConnection) -> None:
        [first] = await submit(store, new_job(unique_key="k"))

        [answer] = store.submit_within_sync(own, [new_job(unique_key="k")])
        own.commit()

        assert (answer.id, answer.created) == (first, False)

    async def test_the_wake_up_comes_with_the_callers_commit(self, store: Store, own: OwnConnection) -> None:
        async with store.wakeups([Topic.READY]) as wakeups, asyncio.timeout(DEADLINE_SECONDS):
            store.submit_within_sync(own, [new_job()])
            own.commit()

            assert (await anext(wakeups)).topic is Topic.READY

    async def test_something_that_is_no_connection_of_this_database_is_refused(self, store: Store) -> None:
        with pytest.raises(UsageError):
            store.submit_within_sync(object(), [new_job()])
        with pytest.raises(UsageError):
            await store.submit_within(object(), [new_job()])
        assert await store.list(Filter()) == []
