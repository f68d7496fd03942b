"""Find a worker's whole process tree, and end it.

What it guarantees
- after `end` nothing of the tree is left, except processes in uninterruptible sleep, which it names;
- a pid that was reused meanwhile is never touched: each process is known by pid and start time.

What it assumes
- workers lead a session of their own and are subreapers (`lead`), and carry a marker in the environment of what they start.

Three ways to find descendants, because each alone misses some: the walk over parents misses none that a subreaper adopted but
needs the worker alive, the session misses what called setsid, the marker misses what cleared its environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from heavyjobs.processes import COORDINATOR_MARK, WORKER_MARK, every_process, name_of, started_at
from heavyjobs.scratch import belong_to, sweep_scratch

_PR_SET_CHILD_SUBREAPER: Final = 36
GONE: Final = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class Root:
    """A worker: its pid, when it started (`started_at`), and its marker."""

    pid: int
    started: float
    marker: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What ending a tree found.

    Attributes:
        descendants: `name (pid)` of each process that was ended, the worker aside.
        left: of each that could not be ended within the time allowed.
    """

    descendants: tuple[str, ...]
    left: tuple[str, ...]


def lead(marker: str) -> None:
    """Make this process a session leader that adopts its orphaned descendants and marks what it starts, and its scratch."""
    os.setsid()
    adopt_orphans()
    os.environ[WORKER_MARK] = marker
    belong_to(marker)


def adopt_orphans() -> None:
    """Become a subreaper, where the system has such a thing: orphans below become children of this process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(*roots: Root, seconds: float = 5.0, root_too: bool = True) -> Swept:
    """Kill the trees: the workers are stopped, their descendants are killed until none is left, the workers go last.

    Blocks for a few milliseconds to `seconds`; call it in a thread. Many trees take hardly longer than one.

    Args:
        root_too: False spares the workers (and does not stop them): for what an invocation left behind.
    """
    deadline = time.monotonic() + seconds
    workers = [worker for root in roots if (worker := find(root)) is not None] if root_too else []
    for worker in workers:
        with suppress(*GONE):
            # Stopped first, or it could start new ones as fast as they are killed.
            worker.send_signal(signal.SIGSTOP)
    try:
        ended, left = _kill_all(lambda: descendants(*roots), deadline)
    finally:
        # Whatever went wrong: one that was stopped and left would stand there for ever.
        for worker in workers:
            with suppress(*GONE):
                worker.kill()
    left += _wait(workers, seconds=max(0.1, deadline - time.monotonic()))
    _reap(ended)
    return Swept(tuple(ended.values()), tuple(label(process) for process in left))


def end_left_by(pid: int, started: float, *, seconds: float = 5.0) -> Swept:
    """Kill what a coordinator has left behind whose process is gone, in whichever of its sessions it was started.

    Nearly always its guardian has done so, or is about it. What has left its worker's session and tree and cleared its
    environment is not found; a guardian would have. With them goes the scratch of its jobs.
    """
    ended, left = _kill_all(_Left(pid, started).look, time.monotonic() + seconds)
    if not left:
        sweep_scratch(name_of(pid, started))
    return Swept(tuple(ended.values()), tuple(label(process) for process in left))


def _kill_all(look: Callable[[], list[psutil.Process]], deadline: float) -> tuple[dict[int, str], list[psutil.Process]]:
    """Kill what is found until nothing is; the names of all by pid, and those that there still are at the deadline."""
    ended: dict[int, str] = {}
    while (left := look()) and time.monotonic() < deadline:
        for process in left:
            ended.setdefault(process.pid, label(process))
            with suppress(*GONE):
                process.kill()
        _wait(left, seconds=0.05)
    return ended, left


class _Left:
    """What a coordinator has left: what carries its mark, what that started, and the sessions that such a process leads."""

    def __init__(self, pid: int, started: float) -> None:
        self._pid: Final = pid
        self._started: Final = started
        self._sessions: Final[set[int]] = set()
        """Remembered, for their leaders go first."""

    def look(self) -> list[psutil.Process]:
        """All that live, this process and what it has started left out."""
        children: dict[int, list[psutil.Process]] = {}
        found: dict[int, psutil.Process] = {}
        for process in every_process():
            with suppress(*GONE, OSError, ValueError):
                if process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    children.setdefault(process.ppid(), []).append(process)
                    if self._is_marked(process) or os.getsid(process.pid) in self._sessions:
                        found[process.pid] = process
        found.update({process.pid: process for process in below([*found], children)})
        return list(found.values())

    def _is_marked(self, process: psutil.Process) -> bool:
        if (mark := process.environ().get(COORDINATOR_MARK)) is None:
            return False
        pid, started = mark.split()
        marked = int(pid) == self._pid and abs(float(started) - self._started) < 0.05
        if marked and os.getsid(process.pid) == process.pid:
            self._sessions.add(process.pid)
        return marked


def descendants(*roots: Root) -> list[psutil.Process]:
    """Everything alive that the workers started, directly or not; the workers themselves left out."""
    workers = {root.pid for root in roots}
    children: dict[int, list[psutil.Process]] = {}
    found: dict[int, psutil.Process] = {}
    for process in every_process():
        with suppress(*GONE), process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                if os.getsid(process.pid) in workers:
                    _reap([process.pid])
            elif process.pid not in workers:
                children.setdefault(process.ppid(), []).append(process)
                if _started_by(process, roots):
                    found[process.pid] = process
    for process in below([*found, *(root.pid for root in roots if find(root) is not None)], children):
        found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def _started_by(process: psutil.Process, roots: Iterable[Root]) -> bool:
    """Whether it is in the session of one of the workers, or carries its marker."""
    began = started_at(process.pid)
    candidates = [root for root in roots if began >= root.started - 1]
    if not candidates:
        return False
    session = os.getsid(process.pid)
    if any(session == root.pid for root in candidates):
        return True
    marker = process.environ().get(WORKER_MARK)
    return any(marker == root.marker for root in candidates)


def below(pids: Iterable[int], children: Mapping[int, Sequence[psutil.Process]]) -> Iterator[psutil.Process]:
    """All that these processes started, directly or not, each once; however deep."""
    waiting, seen = list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            for child in children.get(pid, ()):
                yield child
                waiting.append(child.pid)


def find(root: Root) -> psutil.Process | None:
    """The process with that pid, if it is still the one that was meant."""
    try:
        process = psutil.Process(root.pid)
        same = abs(started_at(root.pid) - root.started) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
    except GONE:
        return None
    return process if same else None


def _reap(pids: Iterable[int]) -> None:
    """Collect the zombies among them that became our children by adoption; others are left to their parents."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _wait(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait until they are gone or zombies; those that are not in time."""
    deadline = time.monotonic() + seconds
    alive = processes
    while alive := [process for process in alive if is_alive(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.002)
    return alive


def is_alive(process: psutil.Process) -> bool:
    """Whether it is there and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except GONE:
        return False


def label(process: psutil.Process) -> str:
    """`name (pid)`, for people."""
    try:
        return f"{process.name()} ({process.pid})"
    except GONE:
        return f"? ({process.pid})"
