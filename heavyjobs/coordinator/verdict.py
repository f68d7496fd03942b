"""Decide how an invocation ended, from what its worker said, how its process went, and why it was stopped. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from heavyjobs.events import Ended, Stop
from heavyjobs.model import Bill, Cause, Ending, Policy
from heavyjobs.slots.listener import Death
from heavyjobs.units import show_bytes, show_seconds
from heavyjobs.values import JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The ending and its cause; `retry` is False where trying again is useless."""

    ending: Ending
    cause: Cause | None = None
    retry: bool = True
    result: JsonText | None = None
    error: JsonText | None = None


def verdict(
    came: Ended | Death,
    *,
    stop: Stop | None,
    policy: Policy,
    bill: Bill,
    out_of_memory: bool = False,
    forgiven: bool = False,
    blamed: bool = False,
) -> Verdict:
    """How the invocation ended.

    What it returned counts, whatever was asked meanwhile; so does its own typed error, unless it was to be cancelled. Any other
    end after a request to stop is that request's.

    Args:
        came: the worker's last word, or how the process went without one.
        out_of_memory: the kernel has killed for lack of memory while it ran.
        forgiven: this invocation is not held to have brought about its own end.
        blamed: a job that it spawned has brought it about.
    """
    if isinstance(came, Ended) and came.ending is Ending.SUCCEEDED:
        return Verdict(ending=Ending.SUCCEEDED, result=came.result)
    if stop is Stop.CANCEL:
        return Verdict(ending=Ending.CANCELLED, cause=Cause(Ending.CANCELLED, "cancelled on request"))
    if isinstance(came, Ended) and came.ending is Ending.FAILED:
        cause = Cause(Ending.FAILED, came.message, type=came.type)
        return Verdict(ending=Ending.FAILED, cause=cause, retry=came.retry, error=came.error)
    if stop is Stop.TIMEOUT:
        return _of(Ending.TIMED_OUT, f"ran longer than its timeout of {show_seconds(policy.timeout_seconds or 0)}", came)
    if stop is Stop.MEMORY:
        return _of(Ending.OUT_OF_MEMORY, f"used {_memory(bill, policy)}", came)
    if stop in {Stop.DRAIN, Stop.NEIGHBOUR, Stop.LOST}:
        return _of(Ending.HANDED_BACK, f"handed back: {stop}", came)
    if forgiven:
        why = isinstance(came, Death) and came.reason
        return _of(Ending.HANDED_BACK, f"handed back: {why or 'the lane it ran on was brought down by another job'}", came)
    if isinstance(came, Ended):
        return _by_its_own_word(came, policy, bill)
    if blamed:
        # Handed back instead, it would send that child again with a fresh budget, and so on for ever.
        return _of(Ending.CRASHED, f"a job that it spawned brought down the lane they both ran on, {_after(bill)}", came)
    return _by_its_death(came, policy, bill, out_of_memory=out_of_memory)


def _by_its_own_word(came: Ended, policy: Policy, bill: Bill) -> Verdict:
    if came.ending is Ending.OUT_OF_MEMORY:
        message = f"{came.message}: {_failed_allocation(bill, policy)}"
        return Verdict(ending=came.ending, cause=Cause(came.ending, message, came.type, came.traceback), retry=came.retry)
    # A CancelRequested that nobody asked for is an exception like any other.
    return Verdict(ending=Ending.RAISED, cause=Cause(Ending.RAISED, came.message, came.type, came.traceback), retry=came.retry)


def _by_its_death(came: Death, policy: Policy, bill: Bill, *, out_of_memory: bool) -> Verdict:
    after = _after(bill)
    if came.reason is not None:
        return _of(Ending.CRASHED, f"given up by its coordinator {after}: {came.reason}", came)
    if came.signal is None:
        return _of(Ending.CRASHED, f"the process ended by itself with exit code {came.exit_code} {after}", came)
    if came.signal == signal.SIGKILL and (out_of_memory or _near_its_memory(bill, policy)):
        return _of(Ending.OUT_OF_MEMORY, f"killed by signal 9 {after}, out of memory (used {_memory(bill, policy)})", came)
    return _of(Ending.CRASHED, f"killed by signal {came.signal} ({_signal_name(came.signal)}) {after}", came)


def _of(ending: Ending, message: str, came: Ended | Death) -> Verdict:
    if isinstance(came, Ended):
        return Verdict(ending=ending, cause=Cause(ending, message, came.type, came.traceback))
    return Verdict(ending=ending, cause=Cause(ending, message, exit_code=came.exit_code, signal=came.signal))


def _after(bill: Bill) -> str:
    return f"after {show_seconds(bill.wall_seconds)}"


def _memory(bill: Bill, policy: Policy) -> str:
    used = show_bytes(bill.memory_peak_bytes)
    return f"{used} of {show_bytes(policy.memory_bytes)}" if policy.memory_bytes is not None else used


def _failed_allocation(bill: Bill, policy: Policy) -> str:
    used = f"({show_bytes(bill.memory_peak_bytes)} were in use)"
    if policy.memory_bytes is None:
        return f"an allocation failed {used}"
    return f"an allocation would have passed the limit of {show_bytes(policy.memory_bytes)} {used}"


def _near_its_memory(bill: Bill, policy: Policy) -> bool:
    return policy.memory_bytes is not None and bill.memory_peak_bytes > 0.9 * policy.memory_bytes


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
