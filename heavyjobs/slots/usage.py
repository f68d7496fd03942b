"""A worker's own account of what an invocation used: exact, cheap, and taken from inside.

The memory peak is the kernel's high-water mark of resident memory, reset at the start (Linux: `clear_refs` 5), so that one
job's peak is not the next one's. Input and output are those of `/proc/self/io`, children that were waited for included.
Elsewhere than on Linux memory is the process's peak so far, and bytes are 0.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from heavyjobs.model import Bill

_LAST_WORDS_BYTES: Final = 16 << 20
SPARE_FILES: Final = 64
"""Descriptors that a worker may open beyond those of its job, to say how that ended."""

_IO = Path("/proc/self/io")
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._before = so_far()
        with suppress(OSError):
            _RESET.write_bytes(b"5")

    def bill(self, now: Bill) -> Bill:
        """What was used since, `so_far` being `now`."""
        before = self._before
        # The kernel keeps the largest child of all this worker's life; only one that set a new mark is known to be this job's.
        child = now.memory_peak_bytes if now.memory_peak_bytes > before.memory_peak_bytes else 0
        return Bill(
            wall_seconds=time.monotonic() - self._wall,
            cpu_seconds=now.cpu_seconds - before.cpu_seconds,
            memory_peak_bytes=max(_memory("VmHWM"), child),
            read_bytes=max(0, now.read_bytes - before.read_bytes),
            written_bytes=max(0, now.written_bytes - before.written_bytes),
        )


def so_far() -> Bill:
    """What this process has used in all its life, with the children that it waited for; the peak is that of a child."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    read, written = _io_bytes()
    return Bill(
        cpu_seconds=own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        memory_peak_bytes=children.ru_maxrss if sys.platform == "darwin" else children.ru_maxrss * 1024,
        read_bytes=read,
        written_bytes=written,
    )


def resident_bytes() -> int:
    """What this process holds in memory now; 0 where that is not known."""
    return _memory("VmRSS") if sys.platform == "linux" else 0


def limit_memory(limit_bytes: int | None) -> None:
    """Bound what this process and each of its children may allocate; None lifts the bound.

    It limits data (heap and private mappings), not address space, so files mapped into memory are free; the sum over the tree
    is watched by the coordinator. What this process has already, and a little to say what went wrong, is left to it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if limit_bytes is None else max(limit_bytes, _memory("VmData") + _LAST_WORDS_BYTES)
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def make_room() -> bool:
    """Whether a job has left a few descriptors to be opened; where it has not, some more are allowed."""
    taken: list[int] = []
    try:
        for _ in range(4):
            taken.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401 - those before the failure are to be closed
    except OSError:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        more = soft + SPARE_FILES if hard == resource.RLIM_INFINITY else min(soft + SPARE_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        return False
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return True


def _io_bytes() -> tuple[int, int]:
    """Bytes through read and write calls, whatever they were: files, pipes, sockets."""
    try:
        lines = _IO.read_bytes().split(b"\n")
    except OSError:
        return 0, 0
    return int(lines[0].removeprefix(b"rchar: ")), int(lines[1].removeprefix(b"wchar: "))


def _memory(field: str) -> int:
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    name = field.encode() + b":"
    for line in _STATUS.read_bytes().split(b"\n"):
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
