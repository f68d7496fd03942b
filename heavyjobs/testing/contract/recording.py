"""Promises about news of running invocations: status, bill, logs, checkpoints; only from who holds the claim, only once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from heavyjobs.errors import ClaimLost, SessionFenced
from heavyjobs.logs import decode_chunk
from heavyjobs.model import Bill, ClaimKey, JobState, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.testing.contract.harness import (
    AGAIN,
    HAND_BACK,
    Harness,
    MoreStores,
    chunk,
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
    submit,
    take,
    want,
)
from heavyjobs.values import JsonText


class Recording(Harness):
    async def test_started_charges_the_attempt_once_however_often_it_is_said(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)

        recorded = await record(store, session, progress=[news(claim, started=5.0)])
        first = (await invocation_of(store, claim)).started_at
        await record(store, session, progress=[news(claim, started=2.0, status="1")])

        assert recorded.lost == frozenset()
        assert recorded.ended == {}
        assert (await job_of(store, claim.job)).attempt == 1
        invocation = await invocation_of(store, claim)
        assert invocation.started_at == first
        assert first is not None
        assert 3 < (invocation.opened_at - first).total_seconds() <= 5.5
        [held] = await store.held(session)
        assert (held.attempt, held.unstarted) == (1, 0)

    async def test_news_before_the_start_charge_nothing(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)

        await record(store, session, progress=[news(claim, started=None, slot="slot-7")])

        assert (await job_of(store, claim.job)).attempt == 0
        invocation = await invocation_of(store, claim)
        assert (invocation.slot, invocation.started_at) == ("slot-7", None)

    async def test_the_latest_status_and_bill_win_and_no_status_leaves_the_stored_one(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)
        bill = Bill(wall_seconds=1.5, cpu_seconds=0.1, memory_peak_bytes=1 << 40, read_bytes=3, written_bytes=1 << 62)

        await record(store, session, progress=[news(claim, status='{"done":1}'), news(claim, status='{"done":2}')])
        await record(store, session, progress=[news(claim, status=None, bill=bill)])

        invocation = await invocation_of(store, claim)
        assert (invocation.status, invocation.bill) == ('{"done":2}', bill)
        assert (await store.briefs([claim.job]))[claim.job].status == '{"done":2}'

    async def test_several_news_of_one_claim_in_one_call_count_as_if_they_came_one_after_the_other(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)

        await record(store, session, progress=[news(claim, status="1"), news(claim, started=None)])
        told = await invocation_of(store, claim)
        await record(store, session, progress=[news(claim, status="2")], ends=[end(claim, AGAIN, started=None)])

        assert (told.status, told.started_at is not None) == ("1", True)
        assert (await invocation_of(store, claim)).status == "2"

    async def test_recording_nothing_is_harmless(self, store: Store, session: UUID) -> None:
        recorded = await record(store, session)

        assert (recorded.lost, recorded.ended) == (frozenset(), {})

    async def test_a_thousand_invocations_are_recorded_in_one_call(self, store: Store, session: UUID) -> None:
        await submit(store, *(new_job() for _ in range(1000)))
        claims = [claimed.claim for claimed in await take(store, session, want(room=1000))]

        recorded = await record(
            store,
            session,
            progress=[news(claim) for claim in claims],
            logs=[chunk(claim, 0, "line") for claim in claims],
            ends=[end(claim) for claim in claims],
        )

        assert len(claims) == 1000
        assert recorded.ended == dict.fromkeys(claims, JobState.SUCCEEDED)

    # -- logs

    async def test_logs_come_back_as_they_were_with_lines_and_bytes_counted(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        chunks = [chunk(claim, 0, "one", "two"), chunk(claim, 2, "three"), chunk(claim, 3, "grüße 🎬")]

        await record(store, session, logs=chunks[:2])
        await record(store, session, logs=chunks[2:])

        assert list(await store.logs(claim.job, claim=claim.number, first=0)) == chunks
        assert [line.text for line in decode_chunk(1, 3, chunks[2].data)] == ["grüße 🎬"]
        invocation = await invocation_of(store, claim)
        assert (invocation.log_lines, invocation.log_bytes) == (4, sum(len(part.data.encode()) for part in chunks))
        assert (await store.briefs([claim.job]))[claim.job].log_lines == 4

    async def test_logs_appended_twice_stay_once(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        first, second = chunk(claim, 0, "one", "two"), chunk(claim, 2, "three")

        await record(store, session, logs=[first])
        await record(store, session, logs=[first, second])
        await record(store, session, logs=[second, second])

        assert list(await store.logs(claim.job, claim=claim.number, first=0)) == [first, second]
        invocation = await invocation_of(store, claim)
        assert (invocation.log_lines, invocation.log_bytes) == (3, len(first.data) + len(second.data))

    async def test_chunks_that_arrive_out_of_order_are_counted_and_read_in_order(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        first, second = chunk(claim, 0, "one", "two"), chunk(claim, 2, "three")

        await record(store, session, logs=[second])
        await record(store, session, logs=[first])

        assert list(await store.logs(claim.job, claim=claim.number, first=0)) == [first, second]
        assert (await invocation_of(store, claim)).log_lines == 3

    async def test_each_invocation_has_its_own_log(self, store: Store, session: UUID) -> None:
        first = await running(store, session)
        await record(store, session, logs=[chunk(first, 0, "one")], ends=[end(first, HAND_BACK)])
        second = (await claim_one(store, session)).claim
        await record(store, session, logs=[chunk(second, 0, "two")])

        assert list(await store.logs(first.job, claim=1, first=0)) == [chunk(first, 0, "one")]
        assert list(await store.logs(first.job, claim=2, first=0)) == [chunk(second, 0, "two")]

    # -- who may not

    async def test_claims_that_are_not_held_are_lost_and_nothing_is_written_about_them(
        self, store: Store, session: UUID
    ) -> None:
        other = await register(store)
        theirs = await running(store, other)
        mine = await running(store, session)
        older = replace(mine, number=mine.number + 1)
        unknown = ClaimKey(new_id(), 1)
        strange = [theirs, older, unknown]

        recorded = await record(
            store,
            session,
            progress=[news(claim, status='"mine"') for claim in (*strange, mine)],
            logs=[chunk(claim, 0, "mine") for claim in (*strange, mine)],
            ends=[end(theirs), end(unknown)],
        )

        assert recorded.lost == frozenset(strange)
        assert recorded.ended == {}
        untouched = await invocation_of(store, theirs)
        assert (untouched.status, untouched.started_at, untouched.log_lines, untouched.ended_at) == (None, None, 0, None)
        assert list(await store.logs(theirs.job, claim=theirs.number, first=0)) == []
        assert list(await store.logs(unknown.job, claim=1, first=0)) == []
        assert (await job_of(store, theirs.job)).state is JobState.RUNNING
        assert (await invocation_of(store, mine)).status == '"mine"'
        assert (await invocation_of(store, mine)).log_lines == 1

    async def test_news_of_an_earlier_claim_do_not_touch_the_newer_one(self, store: Store, session: UUID) -> None:
        earlier = await running(store, session)
        await finish(store, session, earlier, HAND_BACK)
        newer = (await claim_one(store, session)).claim

        recorded = await record(store, session, progress=[news(earlier, status="1")], logs=[chunk(earlier, 0, "late")])

        assert recorded.lost == {earlier}
        assert (await invocation_of(store, newer)).status is None
        assert (await invocation_of(store, earlier)).status is None
        assert (await job_of(store, newer.job)).attempt == 0

    async def test_a_session_that_was_declared_dead_records_nothing(self, store: Store, session: UUID) -> None:
        dead = await register(store)
        claim = await running(store, dead)
        await forfeit(store, session, dead)

        with pytest.raises(SessionFenced):
            await record(store, dead, progress=[news(claim, status="1")], logs=[chunk(claim, 0, "x")], ends=[end(claim)])

        invocation = await invocation_of(store, claim)
        assert (invocation.status, invocation.log_lines, invocation.ending) == (None, 0, "forfeited")

    async def test_two_stores_may_record_for_one_session_at_once(
        self, store: Store, session: UUID, more_stores: MoreStores
    ) -> None:
        other = await more_stores()
        claim = await running(store, session)
        chunks = [chunk(claim, number, f"line {number}") for number in range(40)]

        await asyncio.gather(
            *(record(party, session, logs=[part], progress=[news(claim)]) for part in chunks for party in (store, other))
        )

        assert list(await store.logs(claim.job, claim=claim.number, first=0)) == chunks
        assert (await invocation_of(store, claim)).log_bytes == sum(len(part.data) for part in chunks)

    # -- checkpoints and the last question before publishing

    async def test_the_next_invocation_gets_the_newest_checkpoint(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await store.checkpoint(session, claim, JsonText('{"at":1}'))
        await store.checkpoint(session, claim, JsonText('{"at":2}'))
        await finish(store, session, claim, HAND_BACK)

        assert (await claim_one(store, session)).checkpoint == '{"at":2}'

    async def test_who_does_not_hold_the_claim_keeps_no_checkpoint_and_does_not_hold(self, store: Store, session: UUID) -> None:
        other = await register(store)
        earlier = await running(store, session)
        await store.checkpoint(session, earlier, JsonText("1"))
        await finish(store, session, earlier, HAND_BACK)
        newer = (await claim_one(store, session)).claim

        for party, claim in ((session, earlier), (other, newer), (session, ClaimKey(new_id(), 1))):
            with pytest.raises(ClaimLost):
                await store.checkpoint(party, claim, JsonText("2"))
            assert not await store.holds(party, claim)
        assert await store.holds(session, newer)
        assert (await store.held(session))[0].checkpoint == "1"

    async def test_nothing_is_held_after_the_end_or_once_declared_dead(self, store: Store, session: UUID) -> None:
        ended = await running(store, session)
        await finish(store, session, ended, AGAIN)
        dead = await register(store)
        [job] = await submit(store)
        claim = (await claim_one(store, dead)).claim
        await forfeit(store, session, dead)

        assert not await store.holds(session, ended)
        assert claim.job == job
        assert not await store.holds(dead, claim)
        with pytest.raises(ClaimLost):
            await store.checkpoint(dead, claim, JsonText("1"))
