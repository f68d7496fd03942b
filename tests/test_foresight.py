"""A job that ends foresees what its coordinator will decide a moment later."""

from __future__ import annotations

import pytest

from heavyjobs.context import Failure
from heavyjobs.coordinator.verdict import verdict
from heavyjobs.errors import CancelRequested, ClaimLost, FailRequested, ProgramFailed, TargetExists, UsageError
from heavyjobs.events import Stop
from heavyjobs.foresight import runs_again
from heavyjobs.jobs.trouble import AnyTrouble, OutputWrong, Stopped, StorageAway, Unreadable
from heavyjobs.model import Bill, JobState, Policy, after
from heavyjobs.slots import endings
from heavyjobs.values import JsonText

POLICY = Policy(attempts=3)
LAST, EARLIER = 3, 1
ERRORS = [
    ValueError("no"),
    OSError("disk full"),
    MemoryError(),
    ProgramFailed(["a"], code=1, signal=None, tail=()),
    SystemExit(1),
]


def foreseen(error: BaseException, stop: Stop | None, attempt: int, failure: Failure | None = None) -> bool:
    retry = None if failure is None else failure.retry
    return runs_again(error, stop=stop, retry=retry, last=attempt >= POLICY.attempts)


def decided(error: BaseException, stop: Stop | None, attempt: int, failure: Failure | None = None) -> bool:
    """By the worker's last word, the verdict on it, and where the job goes then."""
    found = verdict(endings.raised(error, failure), stop=stop, policy=POLICY, bill=Bill())
    move = after(found.ending, started=True, attempt=attempt, unstarted=0, policy=POLICY, retry=found.retry, jitter=0)
    return move.state in {JobState.READY, JobState.SCHEDULED}


@pytest.mark.parametrize("stop", [None, *Stop])
@pytest.mark.parametrize("attempt", [EARLIER, LAST])
def test_what_a_job_foresees_is_what_its_coordinator_decides(stop: Stop | None, attempt: int) -> None:
    requested = [CancelRequested()] if stop else []  # one that nobody asked for has a test of its own

    for error in (*ERRORS, *requested):
        assert foreseen(error, stop, attempt) is decided(error, stop, attempt), error
    for retry in (True, False):
        failure = Failure(JsonText("{}"), "Wrong", "wrong", retry)
        error = FailRequested()
        assert foreseen(error, stop, attempt, failure) is decided(error, stop, attempt, failure), retry


@pytest.mark.parametrize("error", [UsageError("a"), TargetExists("a"), Stopped(Unreadable(what="a", where="b", would_do="c"))])
def test_after_what_is_final_a_job_does_not_run_again(error: Exception) -> None:
    assert not foreseen(error, None, EARLIER)
    assert not decided(error, None, EARLIER)


@pytest.mark.parametrize("kind", [StorageAway, OutputWrong])
def test_after_trouble_that_is_tried_again_it_does_while_attempts_are_left(kind: type[StorageAway | OutputWrong]) -> None:
    trouble: AnyTrouble = kind(what="a", where="b", would_do="c")

    assert foreseen(Stopped(trouble), None, EARLIER)
    assert not foreseen(Stopped(trouble), None, LAST)


def test_a_drained_job_runs_again_also_after_its_last_attempt_and_a_cancelled_one_does_not() -> None:
    assert foreseen(CancelRequested(), Stop.DRAIN, LAST)
    assert foreseen(CancelRequested(), Stop.TIMEOUT, EARLIER)
    assert not foreseen(CancelRequested(), Stop.TIMEOUT, LAST)
    assert not foreseen(CancelRequested(), Stop.CANCEL, EARLIER)


def test_where_nobody_knows_what_is_there_stays() -> None:
    assert foreseen(CancelRequested(), None, LAST)
    assert foreseen(ClaimLost("another's"), None, LAST)
