"""When a program that works on something long is to be ended: nothing moves any more, or its output grows too large.

Guarantees: what is over a bound fails the job before its output appears; nothing is cut off silently. Only time in which the
job itself was running counts, so that a worker that was stopped or swapped out does not blame its program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeAlias

from pydantic import Field

from heavyjobs.jobs.trouble import Refused, Stalled, stop
from heavyjobs.units import show_bytes, show_seconds

STALL_SECONDS: Final = 300.0
OUTPUT_FACTOR: Final = 16
OUTPUT_FLOOR_BYTES: Final = 8 << 30
"""What any source may become, however small: hours of speech in a thrifty codec are gigabytes as WAV."""
TURN_SECONDS: Final = 1.0
"""The most that counts between two looks: whoever looks later stood still as well."""
MEASURE_SECONDS: Final = 0.2
MEASURE_SHARE: Final = 20
"""Between two looks at an output passes so many times what one takes: a folder may hold a hundred thousand segments."""

StallSeconds: TypeAlias = Annotated[float, Field(gt=0, le=86400, description="how long a program may stand still")]
OutputBytes: TypeAlias = Annotated[
    int | None, Field(ge=1, description="the most that may be written; left out, 16 times the source, and 8 GiB at least")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a program has to keep to.

    Attributes:
        where: what it works on, as errors name it. output: the file that it writes, or the folder of files.
        stall_seconds: how long nothing may move. bytes_max: of the output; None where nothing bounds it.
        bytes_before: of the same output, written elsewhere already.
    """

    where: str
    output: Path
    stall_seconds: float = STALL_SECONDS
    bytes_max: int | None = None
    bytes_before: int = 0


class _Seen(NamedTuple):
    """What moves when a program does something; a second look at the output is its newest time of change."""

    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    changed_ns: int = 0


class Watchdog:
    """Told how far a program says that it is, looks at what it writes, and raises when it is to be ended."""

    def __init__(self, bounds: Bounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds: Final = bounds
        self._clock: Final = clock
        self._seen = self._before = _Seen()
        self._still_seconds = 0.0
        self._looked = self._measure_at = clock()

    def note(self, *, frames: int, seconds: float) -> None:
        """What the program says of itself."""
        self._seen = self._seen._replace(frames=frames, seconds=seconds)

    def look(self) -> None:
        """To be called some times a second while the program runs.

        Raises:
            Stopped: Stalled, when nothing has moved for too long; Refused, when the output is too large.
        """
        now = self._clock()
        turn, self._looked = min(now - self._looked, TURN_SECONDS), now
        if now >= self._measure_at:
            self.measure()
            self._measure_at = now + max(MEASURE_SECONDS, (self._clock() - now) * MEASURE_SHARE)
        moved, self._before = self._seen != self._before, self._seen
        self._still_seconds = 0.0 if moved else self._still_seconds + turn
        if self._still_seconds >= self._bounds.stall_seconds:
            self._stop_still()

    def measure(self) -> None:
        """Look at the output alone; to be called once more when the program has ended.

        Raises:
            Stopped: Refused, when it is too large.
        """
        size, changed_ns = written(self._bounds.output)
        self._seen = self._seen._replace(bytes=size, changed_ns=changed_ns)
        if self._bounds.bytes_max is not None and size + self._bounds.bytes_before > self._bounds.bytes_max:
            what = f"what is made of it grows larger than {show_bytes(self._bounds.bytes_max)}"
            would_do = "raise output_max_bytes, if so large an output is expected"
            stop(Refused, what, where=self._bounds.where, would_do=would_do)

    def _stop_still(self) -> None:
        seen = self._seen
        there = f"at {seen.seconds:.2f} s, frame {seen.frames}, with {show_bytes(seen.bytes)} written"
        what = f"nothing has moved for {show_seconds(self._still_seconds)}: the program stood still {there}"
        would_do = "see whether the disks answer; raise stall_max_seconds, if so long a silence is usual"
        stop(Stalled, what, where=self._bounds.where, would_do=would_do)


def output_bound(asked: int | None, source_bytes: int) -> int:
    """How large an output may become, when a parameter does not say it."""
    return max(OUTPUT_FACTOR * source_bytes, OUTPUT_FLOOR_BYTES) if asked is None else asked


def written(path: Path) -> tuple[int, int]:
    """The bytes of a file or of the files in a folder, and when they were last changed, in nanoseconds; zeros for none."""
    try:
        if not path.is_dir():
            status = path.stat()
            return status.st_size, status.st_mtime_ns
        with os.scandir(path) as entries:
            found = [entry.stat() for entry in entries if entry.is_file()]
    except FileNotFoundError:  # not there yet, or renamed just now
        return 0, 0
    return sum(status.st_size for status in found), max((status.st_mtime_ns for status in found), default=0)
