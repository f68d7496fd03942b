"""A worker process: attach to its pipes, forget what it inherited, then serve until the pipe ends.

What it guarantees
- every invocation that was asked for ends with one `Ended` frame, or with the death of this process;
- user code sees no descriptor of ours but the pipe's two ends, and no channel on which anything is unpickled;
- what an invocation started is ended before its `Ended` is sent (`heavyjobs.slots.serial`).

What it assumes
- one coordinator at the other end, which reads descriptors 1 and 2, and ends this process when it has to.
"""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn, TypeAlias

from heavyjobs import events, lifeline
from heavyjobs.slots import tree
from heavyjobs.slots.lane import serve_many
from heavyjobs.slots.serial import serve_one_by_one
from heavyjobs.slots.stepping import Mark
from heavyjobs.slots.wire import Wire
from heavyjobs.slots.worker import Worker

Pipe: TypeAlias = "Connection[Any, Any]"


class Pipes(NamedTuple):
    """What a worker is given.

    Attributes:
        mark: no pipe, but the memory of its mark (`stepping`).
        lifeline: None in tests, where no guardian is.
    """

    up: Pipe
    down: Pipe
    out: Pipe
    err: Pipe
    mark: Pipe
    lifeline: Pipe | None

    def close(self) -> None:
        for pipe in self:
            if pipe is not None:
                pipe.close()


def work(pipes: Pipes, options: bytes, lane: bool) -> NoReturn:  # noqa: FBT001 - from a tuple
    """All that ever runs in this process: serve, then leave.

    Not one of the executor's calls: before that came, this process would wait on a queue whose writing end it holds as well,
    and never notice that its coordinator is gone.
    """
    try:
        worker = _attached(pipes, options)
        worker.settle()
        if lane:
            serve_many(worker)
        else:
            serve_one_by_one(worker)
    except BaseException:  # noqa: BLE001 - ours, or a job's that has broken what is ours: its cause is for the log
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        os._exit(1)
    # Not sys.exit: threads that a job left behind would keep the process.
    os._exit(0)


def _attached(pipes: Pipes, options: bytes) -> Worker:
    """Make this process a worker. Runs no user code."""
    told = events.read(events.WORKER_OPTIONS, options)
    tree.lead(told.marker)
    if pipes.lifeline is not None:
        lifeline.hold(pipes.lifeline.fileno())
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor, source in ((0, null), (1, pipes.out.fileno()), (2, pipes.err.fileno())):
        os.dup2(source, descriptor)
    # Numbers that nobody else holds: the Connection objects close theirs.
    worker = Worker(Wire(os.dup(pipes.up.fileno()), os.dup(pipes.down.fileno())), Mark(pipes.mark.fileno()), told)
    pipes.close()
    return worker
