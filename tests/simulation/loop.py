"""An event loop for one simulated process: virtual time, one callback after the other, each of which takes a moment.

Callbacks run in the order in which they were made ready, as asyncio promises. What asyncio leaves open is decided by chance:
which process runs next, how long each callback takes, and so which timers and answers come between two of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, TypeVar

from typing_extensions import TypeVarTuple, Unpack, override

from tests.simulation.computers import Computer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALLBACK_MAX_SECONDS: Final = 0.0004


class Task(asyncio.Task[T]):
    """A task that hashes by its number: sets of tasks have the same order whenever the same is done."""

    def __init__(self, number: int, work: Coroutine[Any, Any, T] | Generator[Any, None, T], **how: Any) -> None:
        self._number = number
        super().__init__(work, **how)
        self._log_destroy_pending = False

    @override
    def __hash__(self) -> int:
        return self._number


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one process, which can be stopped and continued, and killed.

    Attributes:
        disturbed_at: true time until which it stood still, for the last time.
        lease_holds: whether the lease of its coordinator's session does.

    Args:
        trouble: told of what no task has caught.
    """

    def __init__(self, computer: Computer, name: str, *, trouble: Callable[[str], None]) -> None:
        self.computer: Final = computer
        self.world: Final = computer.world
        self.name: Final = name
        self.pid: Final = computer.new_pid()
        self.dead = False
        self.stopped = False
        self.stall_seconds = 0.0
        self.disturbed_at = -1e9
        self.lease_holds: Callable[[], bool] = lambda: True
        self.on_thaw: list[Callable[[], None]] = []
        self.tasks: Final[list[Task[Any]]] = []
        self._trouble = trouble
        self._ready: deque[asyncio.Handle] = deque()
        self._stepping = False
        self._numbers = 0
        computer.processes[self.pid] = self

    # -- life

    @property
    def frozen(self) -> bool:
        return self.stopped or self.computer.asleep

    def stop_process(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def continue_process(self) -> None:
        """SIGCONT."""
        self.stopped = False
        self.thaw()

    def thaw(self) -> None:
        if self.frozen or self.dead:
            return
        self.disturbed_at = self.world.now
        for call in self.on_thaw:
            call()
        self.on_thaw.clear()
        self._go_on()

    def die(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self.dead = True
        self.computer.processes.pop(self.pid, None)

    def bury(self) -> None:
        """After the end of the world: unwind the tasks that were left, so that nothing of them is found by the collector.

        Here they may do what they like; nobody looks, and there is no more time.
        """
        self.dead = self.stopped = False
        self.computer.wake()
        self._stepping = True  # nothing is scheduled, it is stepped from here
        for _ in range(50):
            if not (left := [task for task in self.tasks if not task.done()]):
                break
            for task in left:
                task.cancel()
            for _ in range(5000):
                if not self._ready:
                    break
                self._run(self._ready.popleft())
        self.die()

    # -- running

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """From outside: something has come, an answer, a frame, a signal."""
        if not self.dead:
            self.call_soon(call, *args)

    def _go_on(self) -> None:
        if self._ready and not self._stepping and not self.frozen and not self.dead:
            self._stepping = True
            self.world.at(self.world.now + self._moment(), self._step)

    def _moment(self) -> float:
        stall, self.stall_seconds = self.stall_seconds, 0.0
        if stall:
            self.disturbed_at = self.world.now + stall
        return stall or CALLBACK_MAX_SECONDS * self.world.random.random()

    def _step(self) -> None:
        self._stepping = False
        if self._ready and not self.frozen and not self.dead:
            self._run(self._ready.popleft())
            self._go_on()

    def _run(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            asyncio._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio._set_running_loop(None)

    def _fire(self, timer: asyncio.TimerHandle) -> None:
        if not self.dead and not timer.cancelled():
            self._ready.append(timer)
            self._go_on()

    # -- what asyncio asks of a loop

    @override
    def time(self) -> float:
        return self.computer.monotonic()

    @override
    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        self._go_on()
        return handle

    @override
    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    @override
    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.computer.at(when, self._fire, timer)
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        pass  # it is passed over when its time comes

    @override
    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    @override
    def create_task(
        self, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, name: str | None = None, context: Context | None = None
    ) -> Task[T]:
        self._numbers += 1
        task = Task(self._numbers, coro, loop=self, name=name or f"task {self._numbers}", context=context)
        if len(self.tasks) > 200:
            self.tasks[:] = [task for task in self.tasks if not task.done()]
        self.tasks.append(task)
        return task

    @override
    def get_debug(self) -> bool:
        return False

    @override
    def is_running(self) -> bool:
        return True

    @override
    def is_closed(self) -> bool:
        return self.dead

    @override
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._trouble(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")


def new_loop(computer: Computer, name: str, *, trouble: Callable[[str], None]) -> ProcessLoop:
    """A loop for a new process. It has what coordinators and clients ask of one, no files, no threads, no signals."""
    return ProcessLoop(computer, name, trouble=trouble)  # type: ignore[abstract]
