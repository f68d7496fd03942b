"""Promises about claiming: the right jobs, in the right order, within the bounds, and never the same one twice."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from heavyjobs.errors import SessionFenced
from heavyjobs.model import JobState, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import NewJob
from heavyjobs.testing.contract.harness import (
    HAND_BACK,
    HOST,
    Harness,
    MoreStores,
    claim_ids,
    claim_one,
    finish,
    forfeit,
    invocation_of,
    job_of,
    new_job,
    register,
    running,
    state_of,
    submit,
    take,
    want,
)
from heavyjobs.values import JsonText


class Claiming(Harness):
    async def test_a_claimed_job_runs_and_says_who_holds_it(self, store: Store, session: UUID) -> None:
        parent = new_id()
        job = new_job(parent=parent, child_key="a", depth=2, policy=Policy(memory_bytes=1 << 20))
        await store.submit([job])

        [claimed] = await take(store, session)

        assert (claimed.claim.job, claimed.claim.number) == (job.id, 1)
        assert (claimed.epoch, claimed.attempt, claimed.unstarted) == (1, 1, 1)
        assert (claimed.kind, claimed.version, claimed.parameters) == (job.kind, 1, job.parameters)
        assert (claimed.policy, claimed.depth, claimed.parent) == (job.policy, 2, parent)
        assert claimed.checkpoint is None
        found = await job_of(store, job.id)
        assert (found.state, found.claim, found.attempt, found.ready_at) == (JobState.RUNNING, 1, 0, None)
        opened = await invocation_of(store, claimed.claim)
        assert (opened.session, opened.host, opened.slot, opened.epoch, opened.attempt) == (session, HOST, "", 1, 1)
        assert (opened.started_at, opened.ended_at, opened.ending) == (None, None, None)
        assert (opened.status, opened.cause) == (None, None)
        assert (opened.log_lines, opened.log_bytes, opened.log_dropped_lines) == (0, 0, 0)

    async def test_nothing_ready_nothing_wanted_or_no_room_claims_nothing(self, store: Store, session: UUID) -> None:
        assert list(await take(store, session)) == []
        await submit(store)

        assert list(await store.claim(session, [], cpus=8, memory_bytes=1 << 40, host=HOST)) == []
        assert await claim_ids(store, session, want(room=0)) == []
        assert len(await claim_ids(store, session)) == 1

    async def test_the_claim_number_grows_with_every_claim(self, store: Store, session: UUID) -> None:
        claimed = await running(store, session)
        await finish(store, session, claimed, HAND_BACK)

        again = await claim_one(store, session)

        assert (again.claim.job, again.claim.number) == (claimed.job, 2)
        assert len(await store.invocations(claimed.job)) == 2

    # -- order

    async def test_priority_comes_first_then_depth_then_age(self, store: Store, session: UUID) -> None:
        def job(priority: int, depth: int) -> NewJob:
            return new_job(policy=Policy(priority=priority), depth=depth)

        low, old, deep, high, young = job(-1, 5), job(0, 0), job(0, 1), job(7, 0), job(0, 0)
        for each in (low, old, deep, high, young):
            await submit(store, each)

        order = await claim_ids(store, session)

        assert order == [high.id, deep.id, old.id, young.id, low.id]

    async def test_the_order_holds_across_kinds_queues_and_versions(self, store: Store, session: UUID) -> None:
        jobs = [
            new_job(kind="demo.a", policy=Policy(priority=2)),
            new_job(kind="demo.b", policy=Policy(priority=5, queue="other")),
            new_job(kind="demo.a", policy=Policy(priority=4), version=2),
            new_job(kind="demo.b", policy=Policy(priority=1, queue="other")),
            new_job(kind="demo.a", policy=Policy(priority=3)),
        ]
        await submit(store, *jobs)

        order = await claim_ids(store, session, want("demo.a", version=2), want("demo.b", queue="other"))

        assert order == [jobs[index].id for index in (1, 2, 4, 0, 3)]

    async def test_deeper_jobs_of_another_kind_come_first(self, store: Store, session: UUID) -> None:
        [shallow] = await submit(store, new_job(kind="demo.a"))
        [deep] = await submit(store, new_job(kind="demo.b", depth=1))

        assert await claim_ids(store, session, want("demo.a"), want("demo.b")) == [deep, shallow]

    async def test_a_job_that_was_handed_back_waits_behind_those_that_waited_longer(self, store: Store, session: UUID) -> None:
        claimed = await running(store, session)
        [waiting] = await submit(store)
        await finish(store, session, claimed, HAND_BACK)

        assert await claim_ids(store, session) == [waiting, claimed.job]

    # -- bounds

    async def test_no_line_takes_more_than_its_room_and_the_best_go_first(self, store: Store, session: UUID) -> None:
        jobs = [new_job(kind=kind, policy=Policy(priority=priority)) for priority in range(3) for kind in ("demo.a", "demo.b")]
        await submit(store, *jobs)

        shared = await claim_ids(store, session, want("demo.a", line="x", room=3), want("demo.b", line="x", room=3))
        rest = await claim_ids(store, session, want("demo.a", line="x", room=1), want("demo.b", line="y", room=1))

        assert len(shared) == 3
        assert {jobs[4].id, jobs[5].id} < set(shared)
        assert len(rest) == 2

    async def test_a_full_line_does_not_hold_up_another(self, store: Store, session: UUID) -> None:
        await submit(store, *(new_job(kind="demo.a", policy=Policy(priority=9)) for _ in range(5)))
        [other] = await submit(store, new_job(kind="demo.b"))

        order = await claim_ids(store, session, want("demo.a", line="x", room=2), want("demo.b", line="y", room=2))

        assert len(order) == 3
        assert order[2] == other

    async def test_cpus_and_memory_are_not_exceeded_by_all_together(self, store: Store, session: UUID) -> None:
        await submit(store, *(new_job(policy=Policy(cpus=0.5, memory_bytes=100)) for _ in range(10)))

        by_cpus = await claim_ids(store, session, cpus=2.0)
        by_memory = await claim_ids(store, session, memory_bytes=350)

        assert len(by_cpus) == 4
        assert len(by_memory) == 3

    async def test_what_does_not_fit_is_passed_over_and_left_alone(self, store: Store, session: UUID) -> None:
        jobs = [
            new_job(policy=Policy(priority=5, cpus=64)),
            new_job(policy=Policy(priority=4, memory_bytes=1 << 40)),
            new_job(policy=Policy(priority=3, cpus=2, memory_bytes=100)),
            new_job(policy=Policy(priority=2, cpus=2)),
            new_job(policy=Policy(priority=1, cpus=1)),
        ]
        await submit(store, *jobs)

        order = await claim_ids(store, session, cpus=3, memory_bytes=100)

        assert order == [jobs[2].id, jobs[4].id]
        assert await state_of(store, jobs[0].id) is JobState.READY

    @pytest.mark.parametrize("large", [Policy(memory_bytes=64 << 30), Policy(cpus=64)], ids=["memory", "cpus"])
    async def test_thousands_of_jobs_that_never_fit_here_do_not_hide_one_that_does(
        self, store: Store, session: UUID, large: Policy
    ) -> None:
        await submit(store, *(new_job(policy=large) for _ in range(3000)))
        [small] = await submit(store, new_job(policy=Policy(memory_bytes=1 << 20)))

        assert await claim_ids(store, session, want(room=4), cpus=8, memory_bytes=16 << 30) == [small]

    async def test_a_job_without_a_memory_need_fits_where_no_memory_is_left(self, store: Store, session: UUID) -> None:
        [free] = await submit(store, new_job(policy=Policy(memory_bytes=None)))
        await submit(store, new_job(policy=Policy(memory_bytes=1)))

        assert await claim_ids(store, session, memory_bytes=0) == [free]

    async def test_a_line_for_deeper_jobs_takes_no_others(self, store: Store, session: UUID) -> None:
        await submit(store, *(new_job(policy=Policy(priority=9)) for _ in range(300)))
        [child, grandchild] = await submit(store, new_job(depth=1), new_job(depth=2))

        order = await claim_ids(store, session, want(depth_min=1))

        assert order == [grandchild, child]

    # -- who may run what

    async def test_other_kinds_queues_and_newer_versions_are_never_claimed(self, store: Store, session: UUID) -> None:
        await submit(
            store,
            new_job(kind="demo.unknown"),
            new_job(kind=""),
            new_job(policy=Policy(queue="elsewhere")),
            new_job(version=3),
        )
        [older, same] = await submit(store, new_job(version=1), new_job(version=2))

        assert set(await claim_ids(store, session, want(version=2))) == {older, same}

    async def test_a_thousand_jobs_that_nobody_here_runs_do_not_hide_one_that_fits(self, store: Store, session: UUID) -> None:
        first = Policy(priority=5)
        await submit(store, *(new_job(kind="demo.unknown", policy=first) for _ in range(500)))
        await submit(store, *(new_job(version=2, policy=first) for _ in range(500)))
        [job] = await submit(store)

        assert await claim_ids(store, session, want(room=1)) == [job]

    async def test_a_full_line_of_many_jobs_is_emptied_bite_by_bite(self, store: Store, session: UUID) -> None:
        jobs = await submit(store, *(new_job() for _ in range(250)))
        taken: list[UUID] = []

        while bite := await claim_ids(store, session, want(room=60)):
            taken += bite

        assert sorted(taken) == sorted(jobs)

    # -- together with others

    async def test_claimers_at_the_same_time_never_share_a_job_and_leave_none(
        self, store: Store, more_stores: MoreStores
    ) -> None:
        jobs = await submit(store, *(new_job() for _ in range(300)))
        parties = [store, await more_stores(), await more_stores()]

        async def take_all(party: Store) -> list[UUID]:
            session, taken = await register(party), list[UUID]()
            while bite := await claim_ids(party, session, want(room=7)):
                taken += bite
            return taken

        bites = await asyncio.gather(*(take_all(party) for party in parties for _ in range(2)))

        taken = [job for bite in bites for job in bite]
        assert len(taken) == len(set(taken))
        assert sorted(taken) == sorted(jobs)
        assert {(await job_of(store, job)).claim for job in jobs} == {1}

    @pytest.mark.parametrize("kinds", [("demo.a", "demo.b"), ("demo.a", "demo.a")], ids=["two kinds", "one kind"])
    async def test_two_claimers_at_the_same_moment_do_not_hide_jobs_from_each_other(
        self, store: Store, more_stores: MoreStores, kinds: tuple[str, str]
    ) -> None:
        parties = [(party, await register(party)) for party in (store, await more_stores())]
        wants = [want(kind, room=1) for kind in ("demo.a", "demo.b")]
        for _ in range(200):
            await submit(store, *(new_job(kind=kind) for kind in kinds))

            bites = await asyncio.gather(*(claim_ids(party, session, *wants) for party, session in parties))

            assert [len(bite) for bite in bites] == [1, 1]

    async def test_a_session_that_was_declared_dead_or_ended_or_never_registered_claims_nothing(
        self, store: Store, session: UUID
    ) -> None:
        fenced, ended = await register(store), await register(store)
        await forfeit(store, session, fenced)
        await store.end_session(ended)
        [job] = await submit(store)

        for refused in (fenced, ended, new_id()):
            with pytest.raises(SessionFenced):
                await take(store, refused)
        assert await state_of(store, job) is JobState.READY

    # -- finding claims whose answer was lost

    async def test_held_gives_back_exactly_what_claim_gave(self, store: Store, session: UUID) -> None:
        other = await register(store)
        await submit(store, *(new_job(parameters=JsonText(f"[{number}]"), depth=number) for number in range(3)))
        mine = await take(store, session, want(room=2))
        theirs = await take(store, other)

        assert sorted(await store.held(session), key=lambda held: held.claim) == sorted(mine, key=lambda held: held.claim)
        assert list(await store.held(other)) == list(theirs)
        assert list(await store.held(new_id())) == []

    async def test_held_forgets_what_has_ended(self, store: Store, session: UUID) -> None:
        await finish(store, session, await running(store, session))
        await finish(store, session, await running(store, session), HAND_BACK)
        again = await claim_one(store, session)

        assert [held.claim for held in await store.held(session)] == [again.claim]
