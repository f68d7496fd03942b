"""How an invocation ended is decided from the worker's word, the death of its process, and why it was stopped."""

from __future__ import annotations

import pytest

from heavyjobs.coordinator.verdict import Verdict, verdict
from heavyjobs.events import Ended, Stop
from heavyjobs.model import Bill, Ending, Policy
from heavyjobs.slots.listener import Death
from heavyjobs.values import JsonText

POLICY = Policy(timeout_seconds=90, memory_bytes=1 << 30)
SMALL = Bill(wall_seconds=42, memory_peak_bytes=100 << 20)
LARGE = Bill(wall_seconds=42, memory_peak_bytes=980 << 20)

RETURNED = Ended(ending=Ending.SUCCEEDED, result=JsonText("1"))
FAILED = Ended(ending=Ending.FAILED, error=JsonText("{}"), type="Unreadable", message="no header", retry=False)
RAISED = Ended(ending=Ending.RAISED, message="ValueError: no", type="builtins.ValueError", traceback="Traceback")
STOPPED = Ended(
    ending=Ending.CANCELLED, message="CancelRequested: this job is to stop", type="heavyjobs.errors.CancelRequested"
)
STARVED = Ended(ending=Ending.OUT_OF_MEMORY, message="MemoryError", type="builtins.MemoryError")
EXITED, KILLED, FAULTED = Death(3, None), Death(None, 9), Death(None, 11)


def judged(came: Ended | Death, stop: Stop | None, bill: Bill = SMALL) -> Verdict:
    return verdict(came, stop=stop, policy=POLICY, bill=bill)


@pytest.mark.parametrize("stop", [None, *Stop])
def test_a_result_counts_whatever_was_asked_meanwhile(stop: Stop | None) -> None:
    assert judged(RETURNED, stop) == Verdict(ending=Ending.SUCCEEDED, result=JsonText("1"))


@pytest.mark.parametrize("stop", [None, *Stop])
def test_a_typed_error_counts_unless_the_job_was_to_be_cancelled(stop: Stop | None) -> None:
    found = judged(FAILED, stop)

    if stop is Stop.CANCEL:
        assert found.ending is Ending.CANCELLED
    else:
        assert (found.ending, found.error, found.retry) == (Ending.FAILED, "{}", False)


@pytest.mark.parametrize("came", [RAISED, STOPPED, STARVED, EXITED, KILLED, FAULTED])
@pytest.mark.parametrize(
    ("stop", "ending", "message"),
    [
        (Stop.CANCEL, Ending.CANCELLED, "cancelled on request"),
        (Stop.TIMEOUT, Ending.TIMED_OUT, "ran longer than its timeout of 1 min 30 s"),
        (Stop.MEMORY, Ending.OUT_OF_MEMORY, "used 100 MiB of 1.0 GiB"),
        (Stop.DRAIN, Ending.HANDED_BACK, "handed back: this coordinator drains"),
        (Stop.NEIGHBOUR, Ending.HANDED_BACK, "handed back: the lane it ran on was ended"),
    ],
)
def test_any_other_end_after_a_request_to_stop_is_that_requests(
    came: Ended | Death, stop: Stop, ending: Ending, message: str
) -> None:
    found = judged(came, stop)

    assert found.ending is ending
    assert found.cause is not None
    assert (found.cause.ending, found.cause.message) == (ending, message)


@pytest.mark.parametrize(
    ("came", "bill", "ending", "message"),
    [
        (RAISED, SMALL, Ending.RAISED, "ValueError: no"),
        (STOPPED, SMALL, Ending.RAISED, "CancelRequested: this job is to stop"),
        (
            STARVED,
            SMALL,
            Ending.OUT_OF_MEMORY,
            "MemoryError: an allocation would have passed the limit of 1.0 GiB (100 MiB were in use)",
        ),
        (EXITED, SMALL, Ending.CRASHED, "the process ended by itself with exit code 3 after 42.0 s"),
        (FAULTED, SMALL, Ending.CRASHED, "killed by signal 11 (SIGSEGV) after 42.0 s"),
        (KILLED, SMALL, Ending.CRASHED, "killed by signal 9 (SIGKILL) after 42.0 s"),
        (KILLED, LARGE, Ending.OUT_OF_MEMORY, "killed by signal 9 after 42.0 s, out of memory (used 980 MiB of 1.0 GiB)"),
        (Death(None, 200), SMALL, Ending.CRASHED, "killed by signal 200 (unknown) after 42.0 s"),
    ],
)
def test_an_end_that_nobody_asked_for_has_its_own_cause(came: Ended | Death, bill: Bill, ending: Ending, message: str) -> None:
    found = judged(came, None, bill)

    assert found.ending is ending
    assert found.cause is not None
    assert found.cause.message == message


def test_a_kill_while_the_kernel_was_out_of_memory_is_told_as_that() -> None:
    found = verdict(KILLED, stop=None, policy=Policy(), bill=SMALL, out_of_memory=True)

    assert found.ending is Ending.OUT_OF_MEMORY


def test_a_neighbour_on_a_lane_that_another_brought_down_is_handed_back() -> None:
    found = verdict(EXITED, stop=None, policy=POLICY, bill=SMALL, forgiven=True)

    assert found.ending is Ending.HANDED_BACK


def test_a_parent_whose_child_brought_down_their_lane_is_charged_and_told_so() -> None:
    found = verdict(KILLED, stop=None, policy=POLICY, bill=SMALL, blamed=True)

    assert found.ending is Ending.CRASHED
    assert found.cause is not None
    assert found.cause.message == "a job that it spawned brought down the lane they both ran on, after 42.0 s"


def test_a_death_keeps_its_code_or_signal_and_an_exception_its_traceback() -> None:
    exited, faulted, raised = (judged(came, Stop.TIMEOUT).cause for came in (EXITED, FAULTED, RAISED))

    assert exited is not None
    assert (exited.exit_code, exited.signal) == (3, None)
    assert faulted is not None
    assert (faulted.exit_code, faulted.signal) == (None, 11)
    assert raised is not None
    assert (raised.type, raised.traceback) == ("builtins.ValueError", "Traceback")


def test_a_worker_that_its_coordinator_gave_up_is_a_crash_that_says_why() -> None:
    found = judged(Death(None, 9, reason="a frame of 9000000 bytes was announced; the most is 8388608"), None)

    assert found.ending is Ending.CRASHED
    assert found.cause is not None
    assert found.cause.message == (
        "given up by its coordinator after 42.0 s: a frame of 9000000 bytes was announced; the most is 8388608"
    )
