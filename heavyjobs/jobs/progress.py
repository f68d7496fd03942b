"""How far a job is, from what it really read or wrote: a typed status some times a second, a log line some times a minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from loguru import logger
from pydantic import BaseModel

from heavyjobs.units import show_bytes, show_seconds

Unit: TypeAlias = Literal["bytes", "frames", "seconds", "files"]

REPORT_SECONDS: Final = 0.1
LOG_SECONDS: Final = 5.0
WINDOW_SAMPLES: Final = 50
"""How far back the rate looks: five seconds of reports."""


class Progress(BaseModel):
    """The status of the job types in the box.

    Attributes:
        phase: what it does now, like `packing`.
        done, total: in `unit`; the total is None where it cannot be known beforehand.
        rate: units per second, over the last seconds.
        left_seconds: an estimate, None where there is none.
        item: what it works on now.
    """

    phase: str
    done: int | float = 0
    total: int | float | None = None
    unit: Unit = "bytes"
    rate: float = 0.0
    left_seconds: float | None = None
    item: str = ""


class Meter:
    """Counts what is done and reports it at a sane rate."""

    def __init__(self, report: Callable[[Progress], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._report: Final = report
        self._clock: Final = clock
        self._samples: Final[deque[tuple[float, float]]] = deque(maxlen=WINDOW_SAMPLES)
        self._progress = Progress(phase="starting")
        self._done: float = 0
        self._item = ""
        self._reported = self._logged = clock()

    def start(self, phase: str, *, total: float | None, unit: Unit = "bytes", done: float = 0) -> None:
        """Begin to count anew, from `done` where an earlier attempt got that far; reported at once."""
        self._progress = Progress(phase=phase, done=done, total=total, unit=unit)
        self._done, self._item = done, ""
        self._samples.clear()
        self._samples.append((self._clock(), done))
        self._report(self._progress)

    def add(self, amount: float) -> None:
        """So much more is done."""
        self.at(self._done + amount)

    def at(self, done: float) -> None:
        """So much is done in all."""
        self._done = done
        now = self._clock()
        if now - self._reported >= REPORT_SECONDS:
            self._show(now)

    def follow(self, position: Callable[[], float]) -> None:
        """Ask how much is done, where it is time to report it."""
        if self._clock() - self._reported >= REPORT_SECONDS:
            self.at(position())

    def item(self, name: str) -> None:
        """This is being worked on; shown with the next report."""
        self._item = name

    def end(self) -> None:
        """The phase is done; reported at once."""
        self._progress.done, self._progress.item = self._done, self._item
        self._progress.left_seconds = 0.0
        self._report(self._progress)

    def _show(self, now: float) -> None:
        self._reported = now
        self._progress.done, self._progress.item = self._done, self._item
        self._samples.append((now, self._done))
        self._progress.rate = _rate(self._samples)
        self._progress.left_seconds = _left(self._progress)
        self._report(self._progress)
        if now - self._logged >= LOG_SECONDS:
            self._logged = now
            logger.info("{}", describe(self._progress))


def describe(progress: Progress) -> str:
    """A progress in one line for people: `packing 61 %, 23.4 GiB, 71.0 MiB/s, 3 min 10 s left`."""
    share = f" {100 * min(progress.done / progress.total, 1):.0f} %," if progress.total else ""
    left = "" if progress.left_seconds is None else f", {show_seconds(progress.left_seconds)} left"
    return f"{progress.phase}{share} {_amount(progress.done, progress.unit)}, {_amount(progress.rate, progress.unit)}/s{left}"


def _amount(number: float, unit: Unit) -> str:
    return show_bytes(number) if unit == "bytes" else f"{number:,.1f} s" if unit == "seconds" else f"{number:,.0f} {unit}"


def _rate(samples: deque[tuple[float, float]]) -> float:
    (began, first), (now, last) = samples[0], samples[-1]
    return (last - first) / (now - began) if now > began else 0.0


def _left(progress: Progress) -> float | None:
    if progress.total is None or progress.rate <= 0:
        return None
    return max(progress.total - progress.done, 0) / progress.rate
