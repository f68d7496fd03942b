"""Processes, by what they carry in their environment and what they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import psutil

from heavyjobs.processes import WORKER_MARK, every_process
from soaking import witness


def carrying(variable: str, value: str) -> list[psutil.Process]:
    """All live processes of this machine that were started with that variable."""
    found: list[psutil.Process] = []
    for process in every_process():
        with suppress(psutil.Error, OSError):
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def guardians(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [process for process in family if "heavyjobs.slots.guardian" in _words(process)]


def fork_servers(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [process for process in family if _forks(process) and not _is_forked(process)]


def workers(family: Sequence[psutil.Process], *, lane: bool) -> list[psutil.Process]:
    """Those in slots, or the lane (known by what its jobs have noted). They come of the fork server, which leads as well."""
    noted = {int(path.name) for path in witness.lanes().glob("*")}
    found = [process for process in family if _forks(process) and _is_forked(process) and _leads(process)]
    return [process for process in found if (process.pid in noted) is lane]


def programs(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    """What jobs have started."""
    found: list[psutil.Process] = []
    for process in family:
        with suppress(psutil.Error, OSError):
            if WORKER_MARK in process.environ():
                found.append(process)
    return found


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _forks(process: psutil.Process) -> bool:
    return "multiprocessing.forkserver" in _words(process)


def _is_forked(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return (parent := process.parent()) is not None and _forks(parent)
    return True


def _leads(process: psutil.Process) -> bool:
    with suppress(OSError):
        return os.getsid(process.pid) == process.pid
    return False
