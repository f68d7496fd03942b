"""Start a worker process: an executor to keep it, and pipes to speak with it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Final

import psutil

from heavyjobs import events
from heavyjobs.processes import started_at
from heavyjobs.slots import child
from heavyjobs.slots.stepping import Mark, shared_memory
from heavyjobs.slots.tree import Root

_PIPE_BYTES: Final = 1 << 20
_PRELOAD: Final = ("heavyjobs.slots.child", "loguru")


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


_starting: Final = threading.Lock()


def start_process(options: events.WorkerOptions, preload: tuple[str, ...], *, lane: bool) -> Started:
    """Blocks for the 20 to 110 ms that a process takes; called in a thread."""
    up_read, up_write = _pipe()
    down_read, down_write = _pipe()
    out_read, out_write = _pipe()
    err_read, err_write = _pipe()
    memory = shared_memory()
    mark = Mark(memory)
    given: list[child.Pipe] = [Connection(descriptor) for descriptor in (up_write, down_read, out_write, err_write, memory)]
    up, down, out, err, step = given
    context = multiprocessing.get_context("forkserver")
    with _starting:
        context.set_forkserver_preload([*_PRELOAD, *preload])
        executor = ProcessPoolExecutor(
            1,
            mp_context=context,
            initializer=child.work,
            initargs=(up, down, out, err, step, events.WORKER_OPTIONS.dump_json(options), lane),
        )
        with _without_main():
            future = executor.submit(os.getpid)  # never runs: it is only what has the process started
        # Not multiprocessing.active_children(): it asks dying siblings for the exit code that their own executors wait for.
        (process,) = executor._processes.values()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    # With the parent's copies of the child's ends open, the end of the pipe would never come.
    for connection in given:
        connection.close()
    for descriptor in (up_read, down_write, out_read, err_read):
        os.set_blocking(descriptor, False)
    pid = process.pid or 0
    worker = psutil.Process(pid)
    root = Root(pid, started_at(pid), options.marker)
    return Started(executor, future, process, root, up_read, down_write, out_read, err_read, mark, worker.parent())


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
