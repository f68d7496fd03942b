"""Promises about sessions: their regular word, what they learn by it, and how they are seen."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from heavyjobs.errors import SessionFenced
from heavyjobs.model import ClaimKey, JobState, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import SessionSeen
from heavyjobs.testing.contract.harness import (
    HAND_BACK,
    Harness,
    finish,
    forfeit,
    new_job,
    new_session,
    register,
    running,
    state_of,
)


class Sessions(Harness):
    async def test_every_tick_raises_the_number_by_one(self, store: Store, session: UUID) -> None:
        first = await store.tick(session, [])
        second = await store.tick(session, [])

        assert second.number == first.number + 1
        assert not first.drain
        assert (first.lost, first.cancels, first.others) == ((), (), ())

    async def test_a_tick_names_the_claims_that_are_lost_and_no_others(self, store: Store, session: UUID) -> None:
        kept, handed_back = await running(store, session), await running(store, session, new_job())
        await finish(store, session, handed_back, HAND_BACK)
        other = await register(store)
        theirs = await running(store, other)
        unknown, later = ClaimKey(new_id(), 1), ClaimKey(kept.job, kept.number + 1)

        tick = await store.tick(session, [kept, handed_back, theirs, unknown, later])

        assert set(tick.lost) == {handed_back, theirs, unknown, later}
        assert await state_of(store, kept.job) is JobState.RUNNING

    async def test_a_tick_tells_of_cancels_only_for_the_claims_it_names(self, store: Store, session: UUID) -> None:
        named, unnamed = await running(store, session), await running(store, session)
        await store.cancel([named.job, unnamed.job])

        assert [order.claim for order in (await store.tick(session, [named])).cancels] == [named]
        assert (await store.tick(session, [])).cancels == ()

    async def test_the_others_are_the_live_sessions_with_what_judging_them_needs(self, store: Store, session: UUID) -> None:
        other = replace(new_session("label"), host="host-b", boot_id="boot-9", pid=77, pid_started=12.125)
        ended, fenced = await register(store), await register(store)
        await store.register(other)
        tick = await store.tick(other.id, [])
        await store.end_session(ended)
        await forfeit(store, session, fenced)

        seen = (await store.tick(session, [])).others

        assert seen == (SessionSeen(other.id, tick.number, "label", "host-b", "boot-9", 77, 12.125),)

    async def test_a_session_that_is_fenced_ended_or_unknown_learns_it_at_its_tick(self, store: Store, session: UUID) -> None:
        fenced, ended = await register(store), await register(store)
        await forfeit(store, session, fenced)
        await store.end_session(ended)

        for refused in (fenced, ended, new_id()):
            with pytest.raises(SessionFenced):
                await store.tick(refused, [])

    async def test_a_session_that_was_asked_to_drain_learns_it_at_its_next_tick(self, store: Store, session: UUID) -> None:
        other = await register(store)
        await store.drain([other, new_id()])

        assert (await store.tick(other, [])).drain
        assert not (await store.tick(session, [])).drain

    async def test_a_session_that_has_ended_is_not_asked_to_drain_any_more(self, store: Store, session: UUID) -> None:
        await store.end_session(session)

        await store.drain([session])

        [record] = await store.coordinators(ended=True)
        assert record.drain_requested_at is None

    async def test_registering_again_updates_what_it_serves_and_keeps_its_tick(self, store: Store) -> None:
        session = new_session()
        await store.register(session)
        tick = await store.tick(session.id, [])

        changed = replace(session, queues={"media": 2, "ü": 1}, kinds={"demo.b": 7}, problems=("demo.c: no module x", ""))
        await store.register(changed)

        [record] = await store.coordinators()
        assert record.session == changed
        assert record.tick == tick.number

    async def test_coordinators_are_shown_newest_first_with_what_they_hold(self, store: Store) -> None:
        first, second = await register(store, "a"), await register(store, "b")
        claim = await running(store, first)
        await running(store, first)
        await finish(store, first, claim)
        await store.drain([second])

        records = await store.coordinators()

        assert [(record.session.id, record.running) for record in records] == [(second, 0), (first, 1)]
        assert records[0].drain_requested_at is not None
        assert records[1].drain_requested_at is records[1].ended_at is records[1].fenced_at is None
        assert records[0].started_at <= records[0].ticked_at

    async def test_sessions_that_ended_or_were_fenced_are_shown_only_when_asked_for(self, store: Store, session: UUID) -> None:
        ended, fenced = await register(store), await register(store)
        await store.end_session(ended)
        await forfeit(store, session, fenced)

        assert [record.session.id for record in await store.coordinators()] == [session]
        everyone = {record.session.id: record for record in await store.coordinators(ended=True)}
        assert set(everyone) == {session, ended, fenced}
        assert everyone[ended].ended_at is not None
        assert everyone[fenced].fenced_at is not None

    async def test_a_session_that_still_holds_a_job_does_not_end_so_that_it_can_be_forfeited(
        self, store: Store, session: UUID
    ) -> None:
        holding = await register(store)
        claim = await running(store, holding)

        await store.end_session(holding)

        assert list(await forfeit(store, session, holding) or ()) == [claim]

    async def test_ending_a_session_twice_or_one_that_never_was_is_harmless(self, store: Store, session: UUID) -> None:
        await store.end_session(session)
        await store.end_session(session)
        await store.end_session(new_id())

        assert list(await store.coordinators()) == []
