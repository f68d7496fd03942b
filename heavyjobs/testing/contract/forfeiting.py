"""Promises about silent sessions: only an unchanged tick condemns, one party wins, and every job goes where it should."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from heavyjobs.errors import SessionFenced
from heavyjobs.model import STARTS_MAX, Bill, Ending, JobState, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.testing.contract.harness import (
    EAGER,
    Harness,
    MoreStores,
    chunk,
    claim_ids,
    claim_one,
    forfeit,
    invocation_of,
    job_of,
    new_job,
    new_session,
    news,
    record,
    register,
    running,
    state_of,
    submit,
)


class Forfeiting(Harness):
    async def test_a_silent_sessions_jobs_are_taken_back_and_run_elsewhere(self, store: Store, session: UUID) -> None:
        silent = await register(store, "host-b")
        claim = await running(store, silent)
        await record(
            store, silent, progress=[news(claim, status="1", bill=Bill(1.0, 2.0, 3, 4, 5))], logs=[chunk(claim, 0, "x")]
        )

        assert list(await forfeit(store, session, silent) or ()) == [claim]

        invocation = await invocation_of(store, claim)
        assert (invocation.ending, invocation.status, invocation.log_lines) == (Ending.FORFEITED, "1", 1)
        assert invocation.bill == Bill(1.0, 2.0, 3, 4, 5)
        assert invocation.ended_at is not None
        assert invocation.cause is not None
        assert invocation.cause.ending is Ending.FORFEITED
        again = await claim_one(store, session)
        assert (again.claim.job, again.claim.number, again.attempt) == (claim.job, claim.number + 1, 2)

    async def test_the_cause_names_the_coordinator_and_its_host_where_these_differ(self, store: Store, session: UUID) -> None:
        silent = replace(new_session("label"), host="host-b")
        await store.register(silent)
        claim = await running(store, silent.id)

        await forfeit(store, session, silent.id)

        cause = (await invocation_of(store, claim)).cause
        assert cause is not None
        assert "label on host-b" in cause.message

    async def test_a_silent_session_that_held_nothing_is_fenced_all_the_same(self, store: Store, session: UUID) -> None:
        silent = await register(store)

        assert list(await forfeit(store, session, silent) or ()) == []

        with pytest.raises(SessionFenced):
            await store.tick(silent, [])

    async def test_a_session_that_ticked_meanwhile_keeps_its_jobs(self, store: Store, session: UUID) -> None:
        other = await register(store)
        claim = await running(store, other)
        [seen] = [seen for seen in (await store.tick(session, [])).others if seen.id == other]
        await store.tick(other, [claim])

        assert await store.forfeit(session, session=other, tick=seen.tick, jitter=0.5) is None

        assert await store.holds(other, claim)

    async def test_an_observer_that_was_itself_declared_dead_condemns_nobody(self, store: Store, session: UUID) -> None:
        fenced, other = await register(store), await register(store)
        [seen] = [seen for seen in (await store.tick(fenced, [])).others if seen.id == other]
        claim = await running(store, other)
        await forfeit(store, session, fenced)

        with pytest.raises(SessionFenced):
            await store.forfeit(fenced, session=other, tick=seen.tick, jitter=0.5)

        assert await store.holds(other, claim)

    async def test_an_ended_an_unknown_and_a_fenced_session_cannot_be_forfeited(self, store: Store, session: UUID) -> None:
        ended, fenced = await register(store), await register(store)
        ticks = {seen.id: seen.tick for seen in (await store.tick(session, [])).others}
        await store.end_session(ended)
        await forfeit(store, session, fenced)

        for silent, tick in ((ended, ticks[ended]), (fenced, ticks[fenced]), (new_id(), 0)):
            assert await store.forfeit(session, session=silent, tick=tick, jitter=0.5) is None

    async def test_of_several_observers_one_forfeits(self, store: Store, more_stores: MoreStores) -> None:
        parties = [store, await more_stores(), await more_stores()]
        observers = [await register(party) for party in parties]
        silent = await register(store)
        claim = await running(store, silent)
        [tick] = [seen.tick for seen in (await store.tick(observers[0], [])).others if seen.id == silent]

        answers = await asyncio.gather(
            *(
                party.forfeit(observer, session=silent, tick=tick, jitter=0.5)
                for party, observer in zip(parties, observers, strict=True)
            )
        )

        assert [list(answer) for answer in answers if answer is not None] == [[claim]]
        assert len(await store.invocations(claim.job)) == 1

    async def test_a_forfeited_attempt_waits_its_backoff(self, store: Store, session: UUID) -> None:
        silent = await register(store)
        claim = await running(store, silent, new_job(policy=Policy(backoff_seconds=1000.0, backoff_max_seconds=1000.0)))
        await record(store, silent, progress=[news(claim)])

        await forfeit(store, session, silent)

        assert await state_of(store, claim.job) is JobState.SCHEDULED
        _, seconds = await store.promote(limit=10)
        assert seconds is not None
        assert 700 < seconds <= 750  # 1000 s, with a jitter of 0.5 between half and all of it

    async def test_a_poison_job_runs_out_of_attempts(self, store: Store, session: UUID) -> None:
        [job] = await submit(store, new_job(policy=Policy(attempts=2, backoff_seconds=0.0), unique_key="k"))
        for _ in range(2):
            silent = await register(store)
            claim = (await claim_one(store, silent)).claim
            await record(store, silent, progress=[news(claim)])
            await forfeit(store, session, silent)

        found = await job_of(store, job)
        assert (found.state, found.attempt) == (JobState.DEAD, 2)
        assert found.finished_at is not None
        assert found.cause is not None
        assert found.cause.ending is Ending.FORFEITED
        assert (await store.submit([new_job(unique_key="k")]))[0].created

    async def test_claims_that_never_start_cost_no_attempt_but_end_at_the_cap(self, store: Store, session: UUID) -> None:
        [job] = await submit(store, new_job(policy=EAGER))
        for _ in range(STARTS_MAX):
            assert await state_of(store, job) is JobState.READY
            silent = await register(store)
            assert (await claim_one(store, silent)).attempt == 1
            await forfeit(store, session, silent)

        found = await job_of(store, job)
        assert (found.state, found.attempt) == (JobState.DEAD, 0)

    async def test_a_cancelled_job_is_not_tried_again_when_its_session_is_lost(self, store: Store, session: UUID) -> None:
        silent = await register(store)
        claim = await running(store, silent)
        [child] = await submit(store, new_job(kind="demo.child", parent=claim.job, depth=1))
        await store.cancel([claim.job])

        await forfeit(store, session, silent)

        assert await state_of(store, claim.job) is JobState.CANCELLED
        assert await state_of(store, child) is JobState.CANCELLED
        assert (await invocation_of(store, claim)).ending is Ending.FORFEITED
        assert await claim_ids(store, session) == []

    async def test_the_children_of_a_job_that_runs_out_are_cancelled(self, store: Store, session: UUID) -> None:
        silent = await register(store)
        claim = await running(store, silent, new_job(policy=Policy(attempts=1)))
        await record(store, silent, progress=[news(claim)])
        [child] = await submit(store, new_job(parent=claim.job, depth=1))

        await forfeit(store, session, silent)

        assert await state_of(store, claim.job) is JobState.DEAD
        assert await state_of(store, child) is JobState.CANCELLED

    async def test_only_the_silent_sessions_jobs_move(self, store: Store, session: UUID) -> None:
        silent, lively = await register(store), await register(store)
        lost, kept = await running(store, silent), await running(store, lively)

        await forfeit(store, session, silent)

        assert not await store.holds(silent, lost)
        assert await store.holds(lively, kept)
        assert (await store.tick(lively, [kept, lost])).lost == (lost,)
