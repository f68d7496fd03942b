"""Where jobs go, as a table. That the stores move them so and not otherwise is held in `tests/store/test_moves.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.model import DEPTH_MAX, ENDED, MOVES, STARTS_MAX, Ending, JobState, Move, Policy, after, backoff_seconds, new_id

POLICY = Policy(attempts=3, backoff_seconds=10, backoff_max_seconds=60)
AT_ONCE = Policy(attempts=3, backoff_seconds=0)

READY, DEAD = Move(JobState.READY), Move(JobState.DEAD)


def again(seconds: float, *, charged: bool = True) -> Move:
    return Move(JobState.SCHEDULED, seconds, charged)


FAILURES = (Ending.FAILED, Ending.RAISED, Ending.TIMED_OUT, Ending.CRASHED, Ending.OUT_OF_MEMORY, Ending.FORFEITED)


@pytest.mark.parametrize("ending", FAILURES)
@pytest.mark.parametrize(
    ("attempt", "policy", "retry", "move"),
    [
        (1, POLICY, True, again(10)),
        (2, POLICY, True, again(20)),
        (3, POLICY, True, DEAD),
        (7, POLICY, True, DEAD),
        (1, POLICY, False, DEAD),
        (1, AT_ONCE, True, READY),
    ],
)
def test_a_failure_is_tried_again_until_the_budget_is_used_up(
    ending: Ending, attempt: int, policy: Policy, retry: bool, move: Move
) -> None:
    assert after(ending, started=True, attempt=attempt, unstarted=0, policy=policy, retry=retry, jitter=1) == move


@pytest.mark.parametrize("ending", FAILURES)
@pytest.mark.parametrize(
    ("unstarted", "retry", "move"),
    [
        (1, True, again(10, charged=False)),
        (3, True, again(40, charged=False)),
        (STARTS_MAX, True, Move(JobState.DEAD, charged=False)),
        (1, False, Move(JobState.DEAD, charged=False)),
    ],
)
def test_a_claim_that_never_started_costs_no_attempt_but_may_not_go_on_for_ever(
    ending: Ending, unstarted: int, retry: bool, move: Move
) -> None:
    assert after(ending, started=False, attempt=3, unstarted=unstarted, policy=POLICY, retry=retry, jitter=1) == move


@pytest.mark.parametrize("started", [True, False])
def test_other_endings_ask_for_no_budget(started: bool) -> None:
    def move(ending: Ending) -> Move:
        return after(ending, started=started, attempt=3, unstarted=STARTS_MAX, policy=POLICY, jitter=0)

    assert move(Ending.SUCCEEDED) == Move(JobState.SUCCEEDED)
    assert move(Ending.CANCELLED) == Move(JobState.CANCELLED, charged=started)
    assert move(Ending.HANDED_BACK) == Move(JobState.READY, charged=False)


@given(
    ending=st.sampled_from([*Ending]),
    started=st.booleans(),
    attempt=st.integers(1, 10),
    unstarted=st.integers(0, 25),
    retry=st.booleans(),
    jitter=st.floats(0, 1),
)
def test_every_decision_is_a_move_that_the_table_knows(
    ending: Ending, started: bool, attempt: int, unstarted: int, retry: bool, jitter: float
) -> None:
    move = after(ending, started=started, attempt=attempt, unstarted=unstarted, policy=POLICY, retry=retry, jitter=jitter)

    assert move.state in MOVES[JobState.RUNNING]
    assert (move.delay_seconds > 0) == (move.state is JobState.SCHEDULED)


@pytest.mark.parametrize(("attempt", "whole"), [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (10_000, 60)])
def test_the_backoff_doubles_up_to_its_maximum_and_is_between_half_and_all_of_it(attempt: int, whole: float) -> None:
    waits = [backoff_seconds(attempt, policy=POLICY, jitter=jitter) for jitter in (0, 0.5, 1)]

    assert waits == [whole / 2, whole * 0.75, whole]


def test_a_state_is_ended_when_only_retry_can_move_it_on() -> None:
    assert {state for state in JobState if MOVES[state] <= {JobState.READY} and state is not JobState.SCHEDULED} == ENDED
    assert DEPTH_MAX == 32


def test_ids_sort_by_the_time_they_were_made_and_are_of_version_7() -> None:
    ids = [new_id() for _ in range(100)]

    assert {one.version for one in ids} == {7}
    assert len({*ids}) == 100
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)
