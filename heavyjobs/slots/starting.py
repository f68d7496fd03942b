"""Start a worker process: an executor to keep it, and pipes to speak with it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Final

import psutil

from heavyjobs import events
from heavyjobs.processes import started_at
from heavyjobs.slots import child
from heavyjobs.slots.confinement import confining
from heavyjobs.slots.stepping import Mark, shared_memory
from heavyjobs.slots.tree import Root

_PIPE_BYTES: Final = 1 << 20
_PRELOAD: Final = ("heavyjobs.slots.confined", "heavyjobs.slots.child", "loguru")
"""The first confines the process, before anything of a user's is imported."""


@dataclass(frozen=True, slots=True)
class Started:
    executor: ProcessPoolExecutor
    future: Future[int]
    process: BaseProcess
    root: Root
    up: int
    down: int
    out: int
    err: int
    mark: Mark
    server: psutil.Process | None


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
    """The worker died as it was started, or the process that forks workers did; nothing is left of it: try again."""


_DIED: Final = (EOFError, ConnectionError, FileNotFoundError, psutil.NoSuchProcess)
"""How that shows: the one who was to tell the worker's number is gone, or the number is nobody's any more."""

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
    up_read, up_write = _pipe()
    down_read, down_write = _pipe()
    out_read, out_write = _pipe()
    err_read, err_write = _pipe()
    memory = shared_memory()
    mark = Mark(memory)
    given = child.Pipes(
        up=Connection(up_write),
        down=Connection(down_read),
        out=Connection(out_write),
        err=Connection(err_write),
        mark=Connection(memory),
        lifeline=None if lifeline is None else Connection(os.dup(lifeline), writable=False),
    )
    try:
        executor, future, process = _forked(given, options, preload, lane=lane)
        worker = psutil.Process(process.pid)
        root = Root(worker.pid, started_at(worker.pid), options.marker)
        server = worker.parent()
    except _DIED as error:
        # A worker that was forked all the same finds its pipe at its end, and leaves.
        for descriptor in (up_read, down_write, out_read, err_read):
            os.close(descriptor)
        raise NotStarted(f"a worker was not started: {error!r}") from error
    finally:
        # With the parent's copies of the child's ends open, the end of the pipe would never come.
        given.close()
    for descriptor in (up_read, down_write, out_read, err_read):
        os.set_blocking(descriptor, False)
    return Started(executor, future, process, root, up_read, down_write, out_read, err_read, mark, server)


def _forked(
    given: child.Pipes, options: events.WorkerOptions, preload: tuple[str, ...], *, lane: bool
) -> tuple[ProcessPoolExecutor, Future[int], BaseProcess]:
    context = _Workers(given, events.WORKER_OPTIONS.dump_json(options), lane)
    with _starting, confining(options.confinement):
        context.set_forkserver_preload([*_PRELOAD, *preload])
        executor = ProcessPoolExecutor(1, mp_context=context)
        with _without_main():
            future = executor.submit(os.getpid)  # never runs: it is only what has the process started
        # Not multiprocessing.active_children(): it asks dying siblings for the exit code that their own executors wait for.
        (process,) = executor._processes.values()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    return executor, future, process


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    if sys.platform == "linux":
        import fcntl

        with suppress(PermissionError):  # above the user's share of pipe memory
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ends


@contextmanager
def _without_main() -> Generator[None]:
    """Hide `__main__`: multiprocessing would import the user's script in each worker."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
