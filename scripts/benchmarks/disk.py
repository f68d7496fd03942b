"""How long a small durable write takes meanwhile: a database can be no faster than the disk that it shares with others."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

EVERY_SECONDS: Final = 0.05
BLOCK: Final = bytes(8192)


class Disk:
    """What writes took so far."""

    def __init__(self) -> None:
        self._took: Final[list[tuple[float, float]]] = []

    def median_ms(self, began: float, ended: float) -> float:
        """Between two times of day."""
        return statistics.median(seconds for moment, seconds in self._took if began <= moment < ended) * 1e3

    def write(self, path: Path, over: threading.Event) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            while not over.wait(EVERY_SECONDS):
                began = time.perf_counter()
                os.pwrite(descriptor, BLOCK, 0)
                os.fdatasync(descriptor)
                self._took.append((time.time(), time.perf_counter() - began))
        finally:
            os.close(descriptor)


@contextmanager
def watched_disk(folder: Path) -> Generator[Disk]:
    """Write there, twenty times a second, for the length of the block."""
    disk, over = Disk(), threading.Event()
    thread = threading.Thread(target=disk.write, args=(folder / "witness", over))
    thread.start()
    try:
        yield disk
    finally:
        over.set()
        thread.join()
