"""What both kinds of worker share: its pipe, its signals, the job types it imports, and when it is worn."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import forkserver, process, resource_tracker
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from heavyjobs import events, lifeline
from heavyjobs.context import Assignment
from heavyjobs.events import Code
from heavyjobs.job import AnyJob, job_type, kinds
from heavyjobs.locations import Locations
from heavyjobs.logs import encode_lines
from heavyjobs.model import ClaimKey, Source
from heavyjobs.processes import started_at
from heavyjobs.scratch import make_helpers_folder
from heavyjobs.slots import capture, tree
from heavyjobs.slots.confinement import limit
from heavyjobs.slots.stepping import Mark
from heavyjobs.slots.usage import resident_bytes
from heavyjobs.slots.wire import Wire

CANCEL_SIGNAL: Final = signal.SIGUSR1
DUMP_SIGNAL: Final = signal.SIGUSR2


class Worker:
    """What both kinds of worker share."""

    def __init__(self, wire: Wire, mark: Mark, options: events.WorkerOptions) -> None:
        self.wire: Final = wire
        self.mark: Final = mark
        self.locations: Final = Locations(options.locations, plain=options.plain_paths)
        self.root: Final = tree.Root(os.getpid(), started_at(os.getpid()), options.marker)
        self._options = options
        self._invocations = 0
        self._threads = threading.active_count()

    def settle(self) -> None:
        """Get ready for user code, and say hello."""
        self._forget_what_was_inherited()
        faulthandler.enable(file=2)
        self.hear()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        limit(self._options.confinement)
        own = vars(process.current_process())
        own["_config"] = _Helpers(own["_config"], self._options.marker)
        sys.path[:0] = [folder for folder in self._options.path if folder not in sys.path]
        self.wire.send(Code.HELLO, 0)

    def hear(self) -> None:
        """Take one signal for a request to stop, and another for one to tell the stacks of all threads."""
        faulthandler.unregister(DUMP_SIGNAL)  # or it would take a handler that was replaced for the one in place
        faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True)
        signal.signal(CANCEL_SIGNAL, lambda _number, _frame: self.wire.shield.request(self.mark.asked()))

    def _forget_what_was_inherited(self) -> None:
        """Point every inherited descriptor but 0, 1, 2, the pipe and the lifeline at nothing.

        They are replaced and not closed, for the objects that hold these numbers would close another's file later.
        """
        null = os.open(os.devnull, os.O_RDWR)
        kept = {0, 1, 2, null, *self.wire.descriptors, *lifeline.held()}
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


class _Helpers(dict[str, Any]):
    """What multiprocessing hands on from this process to those that a job makes; a folder of this worker's is among it.

    Made when first asked for, and removed with the scratch. The coordinator's, which would be taken, is closed to another user.
    """

    def __init__(self, inherited: dict[str, Any], marker: str) -> None:
        super().__init__(inherited)
        self.pop("tempdir", None)
        self._marker = marker

    @override
    def get(self, key: str, default: Any = None) -> Any:
        if key == "tempdir":
            self._make()
        return super().get(key, default)

    @override
    def copy(self) -> dict[str, Any]:
        self._make()
        return {**self}

    def _make(self) -> None:
        if "tempdir" not in self:
            self["tempdir"] = make_helpers_folder(self._marker)


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
