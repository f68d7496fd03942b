"""Another session is dead when this observer has seen it silent for long enough, by its own clock and while it could hear."""

from __future__ import annotations

from uuid import UUID

import pytest

from heavyjobs.coordinator.silence import Silence
from heavyjobs.store.records import SessionSeen

FIRST, SECOND = UUID(int=1), UUID(int=2)


def seen(tick: int, session: UUID = FIRST) -> SessionSeen:
    return SessionSeen(session, tick, "host-b", "host-b", "boot", 1, 1.0)


def observer() -> Silence:
    return Silence(forfeit_after=30, gap_max=15)


def test_a_session_is_dead_only_after_the_whole_time_without_a_new_tick() -> None:
    silence = observer()

    dead = [bool(silence.look(now, [seen(7)], gone=set())) for now in (100, 110, 120, 129.9, 130, 140)]

    assert dead == [False, False, False, False, True, True]


def test_a_new_tick_starts_the_time_anew() -> None:
    silence = observer()
    silence.look(100, [seen(7)], gone=set())
    silence.look(115, [seen(7)], gone=set())
    silence.look(125, [seen(8)], gone=set())

    assert not silence.look(140, [seen(8)], gone=set())
    assert silence.look(155, [seen(8)], gone=set()) == [seen(8)]


@pytest.mark.fault("time: a coordinator that heard nothing itself judges others")
def test_what_was_seen_before_the_observer_was_deaf_itself_is_void() -> None:
    silence = observer()
    silence.look(100, [seen(7)], gone=set())

    assert not silence.look(131, [seen(7)], gone=set()), "an outage of the database kills nobody"
    assert not silence.look(146, [seen(7)], gone=set())
    assert silence.look(161, [seen(7)], gone=set())


def test_a_session_whose_process_is_known_to_be_gone_is_dead_at_first_sight() -> None:
    assert observer().look(100, [seen(7), seen(3, SECOND)], gone={SECOND}) == [seen(3, SECOND)]


def test_each_session_is_judged_by_its_own_silence() -> None:
    silence = observer()
    for now in (100, 110, 120):
        silence.look(now, [seen(7), seen(now, SECOND)], gone=set())

    assert silence.look(130, [seen(7), seen(130, SECOND)], gone=set()) == [seen(7)]


def test_a_session_that_was_away_for_a_look_is_a_new_one() -> None:
    silence = observer()
    silence.look(100, [seen(7)], gone=set())
    silence.look(110, [], gone=set())

    silence.look(120, [seen(7)], gone=set())

    assert not silence.look(135, [seen(7)], gone=set())
