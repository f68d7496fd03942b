"""Room on the disk: the log has its whole length from the first tick on, so that a full disk does not end what runs.

What the log has been given nobody else can take. While next to nothing is free, it is left to ticks and other small changes of
rows that are there, so that a coordinator keeps its claims and its jobs go on: for as long as it takes, if what the log held
already fits into the database's file as it is; else until the log's end is reached, some hundred ticks later. Then it is an
outage like any other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FREE_MIN_BYTES: Final = 1 << 20
"""With less than this free, what adds rows is refused."""


def has_room(folder: Path) -> bool:
    """Whether rows may be added; also where the system does not tell."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return True
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return disk.f_blocks == 0 or free * disk.f_frsize >= FREE_MIN_BYTES


def has_room_for_files(folder: Path) -> bool:
    """Whether another file could be made, whatever room there is for what it holds; also where the system does not tell."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return True
    return disk.f_files == 0 or disk.f_favail > 0


def can_reserve() -> bool:
    """Whether the system gives blocks to files before they are written; macOS does not."""
    return hasattr(os, "posix_fallocate")


def reserve(log: Path, size_bytes: int) -> None:
    """Give the log blocks for all of its length, if there are any left; to be called under the write lock.

    Zeros after the last frame are no frame: SQLite reads as far as checksums hold. Opening and closing the log drops no lock,
    for SQLite has its locks on the two other files.
    """
    with suppress(OSError):
        descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        finally:
            os.close(descriptor)
