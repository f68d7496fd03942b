"""A worker process: attach to its pipes, forget what it inherited, then serve until the pipe ends.

What it guarantees
- every invocation that was asked for ends with one `Ended` frame, or with the death of this process;
- user code sees no descriptor of ours but the pipe's two ends, and no channel on which anything is unpickled;
- what an invocation started is ended before its `Ended` is sent (`heavyjobs.slots.serial`).

What it assumes
- one coordinator at the other end, which reads descriptors 1 and 2, and ends this process when it has to.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import psutil

from heavyjobs import events
from heavyjobs.context import Assignment
from heavyjobs.events import Code
from heavyjobs.job import AnyJob, job_type, kinds
from heavyjobs.locations import Locations
from heavyjobs.logs import encode_lines
from heavyjobs.model import ClaimKey, Source
from heavyjobs.slots import capture, tree
from heavyjobs.slots.stepping import Mark
from heavyjobs.slots.usage import resident_bytes
from heavyjobs.slots.wire import Wire

CANCEL_SIGNAL: Final = signal.SIGUSR1
DUMP_SIGNAL: Final = signal.SIGUSR2

Pipe: TypeAlias = "Connection[Any, Any]"


def work(up: Pipe, down: Pipe, out: Pipe, err: Pipe, mark: Pipe, options: bytes, lane: bool) -> NoReturn:  # noqa: FBT001 - from a tuple
    """The executor's initializer, which is all that it ever runs here: serve, then leave.

    Not one of its calls: before that came, this process would wait on the executor's queue, whose writing end it holds as well,
    and never notice that its coordinator is gone.
    """
    try:
        worker = _attached(up, down, out, err, mark, options)
        worker.settle()
        if lane:
            from heavyjobs.slots.lane import serve_many

            serve_many(worker)
        else:
            from heavyjobs.slots.serial import serve_one_by_one

            serve_one_by_one(worker)
    except BaseException:  # noqa: BLE001 - ours, or a job's that has broken what is ours: its cause is for the log
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        os._exit(1)
    # Not sys.exit: threads that a job left behind would keep the process.
    os._exit(0)


def _attached(up: Pipe, down: Pipe, out: Pipe, err: Pipe, mark: Pipe, options: bytes) -> Worker:
    """Make this process a worker. Runs no user code."""
    told = events.read(events.WORKER_OPTIONS, options)
    tree.lead(told.marker)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor, source in ((0, null), (1, out.fileno()), (2, err.fileno())):
        os.dup2(source, descriptor)
    # Numbers that nobody else holds: the Connection objects close theirs.
    worker = Worker(Wire(os.dup(up.fileno()), os.dup(down.fileno())), Mark(mark.fileno()), told)
    for pipe in (up, down, out, err, mark):
        pipe.close()
    return worker


class Worker:
    """What both kinds of worker share."""

    def __init__(self, wire: Wire, mark: Mark, options: events.WorkerOptions) -> None:
        self.wire: Final = wire
        self.mark: Final = mark
        self.locations: Final = Locations(options.locations, plain=options.plain_paths)
        self.root: Final = tree.Root(os.getpid(), psutil.Process().create_time(), options.marker)
        self._options = options
        self._invocations = 0
        self._threads = threading.active_count()

    def settle(self) -> None:
        """Get ready for user code, and say hello."""
        self._forget_what_was_inherited()
        faulthandler.enable(file=2)
        faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True)
        self.hear_cancels()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.path[:0] = [folder for folder in self._options.path if folder not in sys.path]
        self.wire.send(Code.HELLO, 0)

    def hear_cancels(self) -> None:
        """Take the signal for a request to stop."""
        signal.signal(CANCEL_SIGNAL, lambda _number, _frame: self.wire.shield.request())

    def _forget_what_was_inherited(self) -> None:
        """Point every inherited descriptor but 0, 1, 2 and the pipe at nothing.

        The executor's result channel is among them: a job that wrote a pickle there would run code in the coordinator. They are
        replaced and not closed, for the objects that hold these numbers would close another's file later.
        """
        null = os.open(os.devnull, os.O_RDWR)
        kept = {0, 1, 2, null, *self.wire.descriptors}
        for descriptor in {int(path.name) for path in Path("/dev/fd").iterdir()} - kept:
            with suppress(OSError):  # the one that listed the folder is closed already
                os.fstat(descriptor)
                os.dup2(null, descriptor, inheritable=False)
        forget_helpers()

    def speak_through(self, sink: capture.Sink) -> capture.Capture:
        """Capture what is said here, and keep forks of jobs from speaking for us."""
        captured = capture.Capture(sink)

        def in_fork() -> None:
            self.wire.cut_off()
            captured.release()

        os.register_at_fork(after_in_child=in_fork)
        return captured

    def job_of(self, run: events.Run) -> AnyJob:
        """The job, with its class as it is imported here.

        Raises:
            UnknownKind, InvalidParameters: it does not fit the classes here; whatever importing a module raises.
        """
        if run.kind not in kinds():
            self._import(run.kind)
        return job_type(run.kind).parse(run.version, run.parameters)

    def _import(self, kind: str) -> None:
        """Import the modules until one defines the kind; one that fails concerns only kinds that no other defines."""
        failure: Exception | None = None
        for module in self._options.modules:
            try:
                importlib.import_module(module)
            except Exception as error:  # noqa: BLE001 - user code
                failure = failure or error
            except SystemExit as error:
                failure = failure or ImportError(f"importing {module} asked to exit ({error.code})")
            if kind in kinds():
                return
        if failure is not None:
            raise failure

    def worn(self) -> bool:
        """Whether another worker should take the next job; asked once after each."""
        self._invocations += 1
        return (
            self._invocations >= self._options.recycle_after
            or threading.active_count() > self._threads
            or resident_bytes() > self._options.recycle_memory_bytes
        )

    def remark(self, reference: int, text: str) -> None:
        """Say something of our own in the invocation's log."""
        for line in encode_lines(time.time(), Source.HEAVYJOBS, 30, text):
            self.wire.send(Code.LOG, reference, line)


def forget_helpers() -> None:
    """Have multiprocessing start helpers of its own when a job next needs them: those that it knows are cut off, or gone."""
    tracker = resource_tracker._resource_tracker  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    resource_tracker.ResourceTracker.__init__(tracker)
    server = forkserver._forkserver  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    forkserver.ForkServer.__init__(server)


def assignment_of(run: events.Run) -> Assignment:
    return Assignment(
        claim=ClaimKey(run.job, run.claim),
        kind=run.kind,
        queue=run.queue,
        attempt=run.attempt,
        attempts=run.attempts,
        epoch=run.epoch,
        depth=run.depth,
        checkpoint=run.checkpoint,
    )
