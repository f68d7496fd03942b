"""The slot's worker: `def run` jobs, one at a time, in the main thread.

No thread of ours runs here: a job in C code that holds the interpreter's lock would stop it too. The worker reads its pipe when
it is idle and while it waits for an answer; a request to stop comes as a signal.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from heavyjobs import errors, events
from heavyjobs.context import Context
from heavyjobs.events import Code, Ended, Stop
from heavyjobs.slots import endings, tree
from heavyjobs.slots.ground import Ground, stop_alarms
from heavyjobs.slots.link import WorkerLink, value_of
from heavyjobs.slots.usage import Meter, limit_memory, make_room, so_far
from heavyjobs.slots.wire import Wire
from heavyjobs.slots.worker import Worker, assignment_of, forget_helpers
from heavyjobs.values import JsonText


def serve_one_by_one(worker: Worker) -> None:
    """Run what comes, until the pipe ends."""
    Serial(worker).serve()


class Serial:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._wire = worker.wire
        self._reference = 0
        self._ground: Ground | None = None
        self._captured = worker.speak_through(lambda line: self._wire.send(Code.LOG, self._reference, line))

    def serve(self) -> None:
        while received := self._wire.receive():
            code, reference, body = received
            match code:
                case Code.RUN:
                    self._reference = reference
                    self._invoke(reference, events.read(events.RUN, body))
                case Code.PING:
                    self._wire.send(Code.PONG, reference)
                case _:
                    pass  # the answer to a request that was given up

    def _invoke(self, reference: int, run: events.Run) -> None:
        self._wire.shield.open()
        self._ground = None
        self._worker.hear()  # again: an earlier job may have changed that
        self._captured.restore()
        meter = Meter()
        limit_memory(run.memory_bytes)
        ended = self._run(run, reference)
        self._wire.shield.disarm()
        limit_memory(None)
        roomy = make_room()
        whole = self._restore() and roomy
        self._captured.flush()
        self._sweep(reference)
        # A request to stop may have been raised between the taking of some library's lock and its release.
        worn = self._worker.worn() or self._wire.shield.raised or not whole
        now = so_far()
        self._wire.send(Code.ENDED, reference, endings.dump(ended, bill=meter.bill(now), so_far=now, worn=worn))

    def _restore(self) -> bool:
        return self._ground is None or self._ground.restore()

    def _run(self, run: events.Run, reference: int) -> Ended:
        """Run user code: whatever it raises is its ending, and nothing else's."""
        ctx: Context[Any, Any] | None = None
        try:
            try:
                job = self._worker.job_of(run)
                self._ground = Ground()
                ctx = Context(assignment_of(run), SlotLink(self._wire, reference), job=job, locations=self._worker.locations)
                self._wire.send(Code.STARTED, reference)
                self._wire.shield.arm()
                result = job.run(ctx)  # type: ignore[arg-type]  # a `def run`, so a Context is what it takes
            finally:
                self._wire.shield.disarm()
                if os.getpid() != self._worker.root.pid:
                    self._leave()
                stop_alarms()  # what a handler raises here is the job's own; later it would end the worker
            return endings.returned(job, result, ctx.failure)
        except BaseException as error:  # noqa: BLE001 - the place around user code
            return endings.raised(error, ctx.failure if ctx else None)
        finally:
            if ctx:
                ctx.clean_up()

    def _leave(self) -> NoReturn:
        """In a fork of the job's, which came back from it: it is not the job."""
        failed = sys.exc_info()[0] is not None
        if failed:
            traceback.print_exc()
        self._captured.flush()
        os._exit(1 if failed else 0)

    def _sweep(self, reference: int) -> None:
        """End what the invocation started and did not wait for, before the next one starts."""
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return  # no child at all: nearly always
        swept = tree.end(self._worker.root, root_too=False)
        if swept.descendants:
            forget_helpers()
            self._worker.remark(reference, f"ended what the job left running: {', '.join(swept.descendants)}")


class SlotLink(WorkerLink):
    """The link of a `def run`: it asks, and reads the pipe until the answer comes."""

    def __init__(self, wire: Wire, reference: int) -> None:
        super().__init__(wire, reference)
        self._lock = threading.Lock()  # threads of the job may ask too

    @property
    def stop(self) -> Stop | None:
        return self._wire.shield.stop

    def shield(self) -> AbstractContextManager[None]:
        return self._wire.shield

    def ask(self, request: events.Request) -> JsonText:
        with self._lock:
            number = self._send(request)
            while received := self._wire.receive():
                code, reference, body = received
                if code == Code.PING:
                    self._wire.send(Code.PONG, reference)
                elif code == Code.ANSWER and (answer := events.read(events.ANSWER, body)).number == number:
                    return value_of(answer)
        os._exit(1)  # the coordinator is gone; the guardian would end us anyway

    async def ask_async(self, request: events.Request) -> JsonText:
        raise errors.UsageError("a def run has a Context; its verbs are not awaited")
