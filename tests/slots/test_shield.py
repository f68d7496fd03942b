"""A shield holds a request to stop back, and gives it once, when its outermost block is left."""

# ruff: noqa: PT012 - what is raised comes at the end of the block

from __future__ import annotations

import pytest

from heavyjobs.errors import CancelRequested, FailRequested
from heavyjobs.events import Stop
from heavyjobs.slots.wire import Shield


@pytest.fixture
def shield() -> Shield:
    shield = Shield()
    shield.open()
    shield.arm()
    return shield


def test_a_request_is_raised_at_once_and_only_once(shield: Shield) -> None:
    with pytest.raises(CancelRequested):
        shield.request()

    shield.request()
    assert shield.raised


def test_a_request_inside_waits_for_the_outermost_block(shield: Shield) -> None:
    reached: list[str] = []

    with pytest.raises(CancelRequested), shield:
        with shield:
            shield.request()
            reached.append("inner")
        reached.append("outer")

    assert reached == ["inner", "outer"]


def test_a_request_is_not_lost_when_the_block_is_left_by_an_error(shield: Shield) -> None:
    with pytest.raises(CancelRequested) as raised, shield:
        shield.request()
        raise ValueError("the claim is lost")

    assert isinstance(raised.value.__context__, ValueError)


def test_a_failure_of_the_jobs_own_goes_before_a_request(shield: Shield) -> None:
    with pytest.raises(FailRequested), shield:
        shield.request()
        raise FailRequested("unreadable")


def test_a_request_before_the_jobs_own_code_comes_when_that_begins() -> None:
    shield = Shield()
    shield.open()
    shield.request()

    with pytest.raises(CancelRequested):
        shield.arm()


def test_a_request_after_a_job_is_nobodys(shield: Shield) -> None:
    shield.disarm()
    shield.request()

    shield.open()
    shield.arm()

    assert not shield.raised


def test_why_it_is_to_stop_is_known_while_the_request_is_held_back_and_forgotten_with_the_job(shield: Shield) -> None:
    with pytest.raises(CancelRequested), shield:
        shield.request(Stop.DRAIN)
        assert shield.stop is Stop.DRAIN

    shield.disarm()
    shield.open()

    assert shield.stop is None


def test_a_newer_reason_counts_also_when_the_request_was_raised_for_another(shield: Shield) -> None:
    with pytest.raises(CancelRequested):
        shield.request(Stop.DRAIN)

    shield.request(Stop.CANCEL)

    assert shield.stop is Stop.CANCEL
