"""The async lane's worker: `async def run` jobs, many at a time, on one event loop.

For jobs that wait more than they compute. They share a process: one that blocks the loop holds up the others, and one that ends
the process ends it for all. Whose step was running is told through shared memory (`heavyjobs.slots.stepping`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

from heavyjobs import errors, events
from heavyjobs.context import AsyncContext
from heavyjobs.errors import CancelRequested
from heavyjobs.events import Code, Ended, Stop
from heavyjobs.model import Bill
from heavyjobs.slots import endings
from heavyjobs.slots.link import WorkerLink, value_of
from heavyjobs.slots.stepping import Stepped
from heavyjobs.slots.wire import Wire
from heavyjobs.slots.worker import Worker, assignment_of
from heavyjobs.values import JsonText

P = ParamSpec("P")
T = TypeVar("T")

_current: ContextVar[int] = ContextVar("reference of the invocation", default=0)


def serve_many(worker: Worker) -> None:
    """Run what comes, many at a time, until the pipe ends."""
    asyncio.run(Lane(worker).serve())


class Lane:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._wire = worker.wire
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._links: dict[int, LaneLink] = {}
        self._owned: dict[int, set[asyncio.Task[Any]]] = {}
        self._over = asyncio.Event()

    async def serve(self) -> None:
        self._worker.speak_through(lambda line: self._wire.send(Code.LOG, _current.get(), line))
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        loop.set_default_executor(_Threads())
        loop.add_reader(self._wire.descriptors[1], self._take_in)
        await self._over.wait()

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T] | Generator[Any, None, T], **how: Any
    ) -> asyncio.Task[T]:
        """Note which invocation each task belongs to, those that jobs start themselves included."""
        owner = _current.get()
        if owner and isinstance(work, Coroutine):
            work = Stepped(work, self._worker.mark, owner)
        task: asyncio.Task[T] = asyncio.Task(work, loop=loop, **how)
        if owner:
            self._owned.setdefault(owner, set()).add(task)
            task.add_done_callback(lambda done: self._disown(done, owner))
        return task

    def _disown(self, task: asyncio.Task[Any], owner: int) -> None:
        self._owned[owner].discard(task)
        if not self._owned[owner]:
            del self._owned[owner]

    def _take_in(self) -> None:
        if not self._wire.read():
            self._over.set()
        while received := self._wire.next():
            self._obey(*received)

    def _obey(self, code: int, reference: int, body: bytes) -> None:
        match code:
            case Code.RUN:
                run = events.read(events.RUN, body)
                _current.set(reference)
                task = asyncio.create_task(self._invoke(reference, run), name=f"{run.kind} {run.job}")
                self._tasks[reference] = task
                task.add_done_callback(lambda _task: self._tasks.pop(reference, None))
            case Code.ANSWER:
                if link := self._links.get(reference):
                    link.answered(events.read(events.ANSWER, body))
            case Code.CANCEL:
                self._cancel(reference, Stop(body.decode()) if body else None)
            case Code.PING:
                self._wire.send(Code.PONG, reference)
            case _:
                pass

    def _cancel(self, reference: int, stop: Stop | None) -> None:
        link = self._links.get(reference)
        told = link is not None and link.stop is not None
        if link is not None:
            link.stop = stop
        # Once: a second request, which has another reason for it, must not interrupt what cleans up because of the first.
        if not told and (running := self._tasks.get(reference)):
            running.cancel(stop)

    async def _invoke(self, reference: int, run: events.Run) -> None:
        began = time.monotonic()
        link = self._links[reference] = LaneLink(self._wire, reference)
        try:
            ended = await self._run(run, link)
        finally:
            del self._links[reference]
        for left in self._owned[reference]:
            if left is not asyncio.current_task():
                left.cancel()
        bill = Bill(wall_seconds=time.monotonic() - began)
        self._wire.send(Code.ENDED, reference, endings.dump(ended, bill=bill, so_far=Bill(), worn=False))

    async def _run(self, run: events.Run, link: LaneLink) -> Ended:
        """Run user code: whatever it raises is its ending, and nothing else's."""
        ctx: AsyncContext[Any, Any] | None = None
        try:
            job = self._worker.job_of(run)
            ctx = AsyncContext(assignment_of(run), link, job=job, locations=self._worker.locations)
            self._wire.send(Code.STARTED, link.reference)
            result = await job.run(ctx)  # type: ignore[arg-type]  # an `async def run`, so an AsyncContext is what it takes
            return endings.returned(job, result, ctx.failure)
        except asyncio.CancelledError as error:
            return endings.raised(_cancelled(error), ctx.failure if ctx else None)
        except BaseException as error:  # noqa: BLE001 - the place around user code
            return endings.raised(error, ctx.failure if ctx else None)
        finally:
            if ctx:
                ctx.clean_up()


def _cancelled(error: asyncio.CancelledError) -> BaseException:
    """What it means: a request to stop; or, when nobody has asked for that, an exception that the job lets out."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() == 0:
        return error  # of a task that the job awaits, and has cancelled itself
    return CancelRequested("this job is to stop").with_traceback(error.__traceback__)


class LaneLink(WorkerLink):
    """The link of an `async def run`: it asks, and others go on until the answer comes."""

    def __init__(self, wire: Wire, reference: int) -> None:
        super().__init__(wire, reference)
        self.stop: Stop | None = None
        self._asked: dict[int, asyncio.Future[JsonText]] = {}

    def shield(self) -> AbstractContextManager[None]:
        return nullcontext()

    def ask(self, request: events.Request) -> JsonText:
        raise errors.UsageError("an async def run has an AsyncContext; await its verbs")

    async def ask_async(self, request: events.Request) -> JsonText:
        number = self._send(request)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            return JsonText(await answer)
        finally:
            del self._asked[number]

    def answered(self, answer: events.Answer) -> None:
        waiting = self._asked.get(answer.number)
        if waiting is None or waiting.done():
            return  # given up meanwhile
        try:
            waiting.set_result(value_of(answer))
        except errors.HeavyjobsError as error:
            waiting.set_exception(error)


class _Threads(ThreadPoolExecutor):
    """The loop's threads for `run_in_executor`: what they say belongs to the invocation that asked."""

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))
