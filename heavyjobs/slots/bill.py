"""Watch from outside what running invocations use, their whole process trees included.

The worker's own account (`heavyjobs.slots.usage`) is exact but comes at the end, and not at all after a crash; it also misses
what child programs hold in memory. So all trees are sampled together, once for all of them, about each second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from heavyjobs.model import Bill
from heavyjobs.processes import every_process
from heavyjobs.slots.tree import GONE, below


@dataclass(frozen=True, slots=True)
class Sample:
    """A tree at one moment: processor time so far, memory held, bytes so far, and whether its worker is stopped by a signal."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    stopped: bool = False

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            self.cpu_seconds + other.cpu_seconds,
            self.memory_bytes + other.memory_bytes,
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
            self.stopped,
        )


class Account:
    """What is known of one invocation's use so far.

    Args:
        before: what its worker had used by then.
    """

    def __init__(self, before: Bill) -> None:
        self._before = before
        self._last = Sample(before.cpu_seconds, 0, before.read_bytes, before.written_bytes)
        self._memory_peak_bytes = 0

    def add(self, sample: Sample) -> None:
        self._last = sample
        self._memory_peak_bytes = max(self._memory_peak_bytes, sample.memory_bytes)

    @property
    def memory_bytes(self) -> int:
        """Held now, by the whole tree."""
        return self._last.memory_bytes

    def bill(self, wall_seconds: float, own: Bill | None = None) -> Bill:
        """The bill so far, or with the worker's own account the final one; of each figure the larger is true."""
        before, last, own = self._before, self._last, own or Bill()
        return Bill(
            wall_seconds=round(own.wall_seconds or wall_seconds, 6),
            cpu_seconds=round(max(last.cpu_seconds - before.cpu_seconds, own.cpu_seconds, 0.0), 6),
            memory_peak_bytes=max(self._memory_peak_bytes, own.memory_peak_bytes),
            read_bytes=max(last.read_bytes - before.read_bytes, own.read_bytes, 0),
            written_bytes=max(last.written_bytes - before.written_bytes, own.written_bytes, 0),
        )


def sample(pids: Iterable[int]) -> Mapping[int, Sample]:
    """Sample the trees below these workers; blocks for some milliseconds, call it in a thread."""
    children: dict[int, list[psutil.Process]] = {}
    processes: dict[int, psutil.Process] = {}
    for process in every_process():
        with suppress(*GONE):
            processes[process.pid] = process
            children.setdefault(process.ppid(), []).append(process)
    return {pid: _tree(processes[pid], [*below([pid], children)]) for pid in pids if pid in processes}


def _tree(worker: psutil.Process, descendants: Sequence[psutil.Process]) -> Sample:
    total = _one(worker, shared=bool(descendants))
    for process in descendants:
        total += _one(process, shared=True)
    return total


def _one(process: psutil.Process, *, shared: bool) -> Sample:
    with suppress(*GONE), process.oneshot():
        times = process.cpu_times()
        moved = process.io_counters() if hasattr(process, "io_counters") else None
        return Sample(
            cpu_seconds=times.user + times.system + times.children_user + times.children_system,
            memory_bytes=_memory_bytes(process, shared=shared),
            read_bytes=moved.read_chars if moved else 0,
            written_bytes=moved.write_chars if moved else 0,
            stopped=process.status() == psutil.STATUS_STOPPED,
        )
    return Sample()


def _memory_bytes(process: psutil.Process, *, shared: bool) -> int:
    """Resident memory; in a tree of several, with its fair share of what they share, or a fork would count all of it again."""
    if shared and sys.platform == "linux":
        with suppress(*GONE):
            return process.memory_full_info().pss
    return process.memory_info().rss


def out_of_memory_kills() -> int:
    """How often this machine's kernel has killed for lack of memory since it started; 0 where that is not told."""
    with suppress(OSError):
        _, _, found = Path("/proc/vmstat").read_bytes().partition(b"\noom_kill ")
        return int(found.partition(b"\n")[0] or 0)
    return 0
