"""Processes, looked at from outside: all that a coordinator started carries its mark in the environment."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil

from heavyjobs.processes import every_process

MARK: Final = "HEAVYJOBS_BENCH"


def marked(mark: str) -> list[psutil.Process]:
    """Everything alive that was started with the mark, zombies left out."""
    found: list[psutil.Process] = []
    for process in every_process():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def alive(pids: Iterable[int]) -> list[int]:
    """Those of the processes that still live."""
    found: list[int] = []
    for pid in pids:
        with suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
