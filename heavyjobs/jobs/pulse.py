"""When a program that does not say how far it is is to be ended: it neither computes nor reads nor writes any more.

Guarantees: one that is slow, for its disk or for want of a processor, is left alone: whatever little it gets done counts. Only
time in which the job itself was running counts, as with the watchdog of programs that do say.
Assumes: the job runs one program at a time, so that what its children use is what that program uses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import psutil

from heavyjobs.jobs.trouble import Stalled, stop
from heavyjobs.jobs.watchdog import TURN_SECONDS
from heavyjobs.units import show_seconds

FEEL_SECONDS: Final = 5.0
"""Between two looks, at most: each goes through all processes of the host, so that most programs end before the first."""
CPU_SECONDS_MIN: Final = 0.1
"""A program that only waits wakes now and then to see whether it still has to: that is no work."""


class Used(NamedTuple):
    """What the programs of this process have used so far; `bytes` were read or written, by whatever call."""

    cpu_seconds: float = 0.0
    bytes: int = 0


def used() -> Used:
    """Of all children and theirs that are there now."""
    cpu_seconds, size = 0.0, 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):  # it has just ended, or hides it
            times: Any = child.cpu_times()
            cpu_seconds += times.user + times.system
            counted: Any = child.io_counters()
            size += counted.read_chars + counted.write_chars
    return Used(cpu_seconds, size)


class Pulse:
    """Feels whether a program still does anything, and raises when it is to be ended."""

    def __init__(
        self,
        *,
        where: str,
        stall_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        measure: Callable[[], Used] = used,
    ) -> None:
        self._where: Final = where
        self._stall_seconds: Final = stall_seconds
        self._clock: Final = clock
        self._measure: Final = measure
        self._before = Used()
        self._still_seconds = 0.0
        self._feel_seconds: Final = min(FEEL_SECONDS, stall_seconds / 4)
        self._looked = clock()
        self._feel_at = self._looked + self._feel_seconds

    def look(self) -> None:
        """To be called some times a second while the program runs; `where` of the pulse names in errors what it works on.

        Raises:
            Stopped: Stalled, when it has done nothing for too long.
        """
        now = self._clock()
        turn, self._looked = min(now - self._looked, TURN_SECONDS), now
        self._still_seconds += turn
        if now < self._feel_at:
            return
        self._feel_at = now + self._feel_seconds
        if works(self._before, seen := self._measure()):
            self._before, self._still_seconds = seen, 0.0
        elif self._still_seconds >= self._stall_seconds:
            what = f"the program that reads it has done nothing for {show_seconds(self._still_seconds)}"
            stop(Stalled, what, where=self._where, would_do="see whether the disks answer, and whether its process is stopped")


def works(before: Used, now: Used) -> bool:
    """Whether something was done between two looks; less than before is what another program uses, which has just begun."""
    return now.bytes != before.bytes or not 0 <= now.cpu_seconds - before.cpu_seconds < CPU_SECONDS_MIN
