"""Start a worker process: an executor to keep it, and pipes to speak with it."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Final

import psutil

from heavyjobs import events
from heavyjobs.processes import started_at
from heavyjobs.slots import child, forking
from heavyjobs.slots.confinement import confining
from heavyjobs.slots.sockets import sockets_folder
from heavyjobs.slots.stepping import Mark, shared_memory
from heavyjobs.slots.tree import Root

_PIPE_BYTES: Final = 1 << 20
_PRELOAD: Final = ("heavyjobs.slots.confined", "heavyjobs.slots.child", "loguru")
"""The first confines the process, before anything of a user's is imported."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process, our ends of its pipes, and what keeps the process that it was forked from alive (`forking.hold`)."""

    executor: ProcessPoolExecutor
    future: Future[int]
    process: BaseProcess
    root: Root
    up: int
    down: int
    out: int
    err: int
    mark: Mark
    hold: int


class _Workers(ForkServerContext):
    """Where an executor finds its processes: one that serves its own pipes, and is given nothing of the executor's.

    Its queues are guarded by semaphores that another user may not open, and what comes out of one of them it unpickles.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self._arguments = arguments

    def Process(self, **_: Any) -> ForkServerProcess:  # type: ignore[override]  # noqa: N802
        return ForkServerProcess(target=child.work, args=self._arguments)


class NotStarted(Exception):
    """The worker died as it was started, or the process that forks workers did, or this host is short of something.

    Nothing is left of it: try again.
    """


_UNREACHABLE: Final = (ConnectionError, FileNotFoundError, NotADirectoryError, PermissionError)
"""How it shows that the process that forks workers is not at its socket: it died, or a job has removed that, or its folder."""

_DIED: Final = (EOFError, ProcessLookupError, psutil.NoSuchProcess, *_UNREACHABLE)
"""How that shows: the one who was to tell the worker's number is gone, or the number is nobody's any more."""

_REMEDIES: Final[Mapping[int, str]] = {
    errno.EMFILE: "let the coordinator open more files: ulimit -n, or LimitNOFILE= of its service",
    errno.ENFILE: "let this host open more files: sysctl fs.file-max",
    errno.EAGAIN: "let its user have more processes: ulimit -u, or TasksMax= of its service",
    errno.ENOMEM: "this host has no memory left; use fewer slots, or end something else",
}
"""What a host may be short of for a while, and what would do."""

_DESCRIPTORS: Final = 12
"""As many as multiprocessing opens for a moment to have a process forked, and some: six and the socket."""

_starting: Final = threading.Lock()


def start_process(
    options: events.WorkerOptions, preload: tuple[str, ...], *, lane: bool, lifeline: int | None = None
) -> Started:
    """Blocks for the 20 to 110 ms that a process takes; called in a thread.

    Args:
        lifeline: the reading end of what shall end it when its coordinator and the guardian are both gone.

    Raises:
        NotStarted: try again.
    """
    with _told(), ExitStack() as ours, ExitStack() as theirs:
        up, up_write = _pipe(ours, theirs)
        down, down_read = _pipe(ours, theirs, down=True)
        out, out_write = _pipe(ours, theirs)
        err, err_write = _pipe(ours, theirs)
        memory = theirs.enter_context(Connection(shared_memory()))
        mark = Mark(memory.fileno())
        line = None if lifeline is None else theirs.enter_context(Connection(os.dup(lifeline), writable=False))
        given = child.Pipes(up_write, down_read, out_write, err_write, memory, line)
        executor, future, process, hold = _forked(given, options, preload, lane=lane)
        ours.callback(os.close, hold)
        worker = psutil.Process(process.pid)
        root = Root(worker.pid, started_at(worker.pid), options.marker)
        # A worker that was forked, and is not told of all the same, finds its pipe at its end, and leaves.
        ours.pop_all()
    return Started(executor, future, process, root, up, down, out, err, mark, hold)


def _forked(
    given: child.Pipes, options: events.WorkerOptions, preload: tuple[str, ...], *, lane: bool
) -> tuple[ProcessPoolExecutor, Future[int], BaseProcess, int]:
    context = _Workers(given, events.WORKER_OPTIONS.dump_json(options), lane)
    # Not confined, and so not marked as what a dead coordinator has left: it is what then removes the executors' semaphores.
    resource_tracker.ensure_running()
    with _starting, confining(options.confinement):
        sockets_folder()
        context.set_forkserver_preload([*_PRELOAD, *preload])
        executor = ProcessPoolExecutor(1, mp_context=context)
        _try_descriptors()
        with _without_main(), _reachable():
            future = executor.submit(os.getpid)  # never runs: it is only what has the process started
        # Not multiprocessing.active_children(): it asks dying siblings for the exit code that their own executors wait for.
        (process,) = executor._processes.values()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        return executor, future, process, forking.hold()


def _try_descriptors() -> None:
    """Run short of descriptors before what forks workers is asked, if at all: asked by halves it dies, with all workers."""
    with ExitStack() as tried:
        for _ in range(_DESCRIPTORS):
            tried.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


@contextmanager
def _reachable() -> Generator[None]:
    """Try no second time to reach a process that forks workers and cannot be reached: each try would fail as this one."""
    try:
        yield
    except _UNREACHABLE:
        forking.retire()
        raise


def _pipe(ours: ExitStack, theirs: ExitStack, *, down: bool = False) -> tuple[int, child.Pipe]:
    """Our end of a pipe and the worker's, each closed with its stack: with a copy of theirs open, its end would never come."""
    read, write = os.pipe()
    own, given = (write, read) if down else (read, write)
    ours.callback(os.close, own)
    other = theirs.enter_context(Connection(given))
    os.set_blocking(own, False)
    if sys.platform == "linux":
        import fcntl

        with suppress(PermissionError):  # above the user's share of pipe memory
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return own, other


@contextmanager
def _told() -> Generator[None]:
    """Turn what keeps a worker from being started now, and may not later, into `NotStarted`."""
    try:
        yield
    except _DIED as error:
        raise NotStarted(f"a worker was not started: {error!r}") from error
    except OSError as error:
        if (remedy := _REMEDIES.get(error.errno or 0)) is None:
            raise
        raise NotStarted(f"a worker was not started: {error.strerror}; {remedy}") from error


@contextmanager
def _without_main() -> Generator[None]:
    """Hide `__main__`: multiprocessing would import the user's script in each worker."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
