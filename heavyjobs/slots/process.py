"""A worker process as its coordinator sees it: started by an executor, spoken to over pipes, ended by force.

        coordinator                                          worker (leads its own session)
    ┌──────────────────┐   executor: keeps the process     ┌───────────────────────────────┐
    │  WorkerProcess   │──────────────────────────────────▶│ work(): does not return       │
    │                  │   down: Run, Answer, cancel       │                               │
    │   run() ─────────┼──────────────────────────────────▶│ serial: one invocation, or    │
    │                  │   up: started, status, log, ended │ lane: many                    │
    │   Listener ◀─────┼───────────────────────────────────│                               │
    │                  │   out, err: descriptors 1 and 2   │ child programs, C code,       │
    │                  │◀──────────────────────────────────│ the last words of a crash     │
    └──────────────────┘                                   └───────────────────────────────┘

What it guarantees
- each listener hears exactly one of `ended` and `gone`, after all lines that came before it;
- `gone` comes when the process and all that it started are gone; a last frame that it still sent wins;
- reading never blocks and takes a bounded bite each turn of the loop.

What it assumes
- the executor is never asked for a result: a worker killed while its result went through one left the future pending for ever.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Final, Protocol, Self

import psutil

from heavyjobs import events
from heavyjobs.events import BrokenFrame, Code, FrameReader, frame
from heavyjobs.model import Source
from heavyjobs.slots import child
from heavyjobs.slots.rawlines import RawLines
from heavyjobs.slots.stepping import Mark, shared_memory
from heavyjobs.slots.tree import Root, Swept, end
from heavyjobs.values import STATUS_MAX_BYTES, JsonText, checked

_BITE_BYTES: Final = 1 << 16
_PIPE_BYTES: Final = 1 << 20
_PRELOAD: Final = ("heavyjobs.slots.serial", "heavyjobs.slots.lane", "loguru")


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker went: its exit code, or the signal that ended it.

    Attributes:
        step: lane only: the reference of the invocation whose step was running; 0 when none was.
    """

    exit_code: int | None
    signal: int | None
    step: int = 0


class Listener(Protocol):
    """An invocation, as its worker talks to it."""

    def started(self) -> None: ...

    def status(self, status: JsonText) -> None: ...

    def line(self, line: bytes) -> None: ...

    def asked(self, asked: events.Asked) -> None: ...

    def ended(self, ended: events.Ended) -> None: ...

    def gone(self, death: Death) -> None: ...

    def blocks(self) -> None:
        """Lane only: a step of this invocation holds up the others."""
        ...


class WorkerProcess:
    """One worker, from its start to its end. Made by `start`."""

    def __init__(self, name: str, started: _Started, *, lane: bool) -> None:
        self.name: Final = name
        self.root: Final = started.root
        self.lane: Final = lane
        self.warm: Final = asyncio.Event()
        self.over: Final = asyncio.Event()
        self._heard_at = time.monotonic()
        self._mark = started.mark
        self._executor = started.executor
        self._process = started.process
        self._up, self._out, self._err = started.up, started.out, started.err
        self._down = started.down
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._raw = {self._out: RawLines(Source.STDOUT), self._err: RawLines(Source.STDERR)}
        self._listeners: dict[int, Listener] = {}
        self._references = 0
        self._paused = False
        self._dying: asyncio.Task[None] | None = None
        self._resume_reading()
        asyncio.wrap_future(started.future).add_done_callback(self._on_death)

    @classmethod
    async def start(cls, name: str, options: events.WorkerOptions, *, preload: tuple[str, ...] = (), lane: bool) -> Self:
        """Start a process; it is of use once `warm` is set."""
        starting = asyncio.ensure_future(asyncio.to_thread(_start, options, preload, lane=lane))
        try:
            return cls(name, await asyncio.shield(starting), lane=lane)
        except asyncio.CancelledError:
            # The thread goes on all the same, and a worker that nobody knows would live for ever.
            await cls(name, await starting, lane=lane).end()
            raise

    # -- talking to it

    @property
    def running(self) -> int:
        """Invocations that have neither ended nor gone."""
        return len(self._listeners)

    def run(self, run: events.Run, listener: Listener) -> int:
        """Start an invocation; gives its reference on this worker."""
        self._references += 1
        self._listeners[self._references] = listener
        self._send(Code.RUN, self._references, events.RUN.dump_json(run))
        return self._references

    def answer(self, reference: int, answer: events.Answer) -> None:
        self._send(Code.ANSWER, reference, events.ANSWER.dump_json(answer))

    def cancel(self, reference: int) -> None:
        """Ask an invocation to stop; it hears of it as soon as its thread runs Python again."""
        if self.lane:
            self._send(Code.CANCEL, reference)
        elif reference in self._listeners:
            self._signal(child.CANCEL_SIGNAL)

    def dump(self) -> None:
        """Have the stacks of all threads written to the log, by C code that needs no lock of the interpreter."""
        self._signal(child.DUMP_SIGNAL)

    def ping(self) -> None:
        self._send(Code.PING, 0)

    @property
    def silent_seconds(self) -> float:
        """Since it last answered a ping; 0 while it is not read."""
        return 0.0 if self._paused else time.monotonic() - self._heard_at

    def blame(self) -> None:
        """Tell the invocation whose step is running that nobody else can go on."""
        if listener := self._listeners.get(self._mark.get()):
            listener.blocks()

    def pause(self) -> None:
        """Stop reading: its pipes fill, and whoever logs waits."""
        if not self._paused:
            self._paused = True
            for descriptor in (self._up, self._out, self._err):
                self._loop.remove_reader(descriptor)

    def resume(self) -> None:
        if self._paused and self._dying is None:
            self._paused = False
            self._heard_at = time.monotonic()
            self._resume_reading()

    # -- ending it

    async def end(self, *, seconds: float = 5.0) -> Swept:
        """Kill it and all that it started; whoever listens hears `gone`, unless a last `ended` was in the pipe."""
        swept = await asyncio.to_thread(end, self.root, seconds=seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()
        return swept

    def _on_death(self, future: asyncio.Future[int]) -> None:
        if not future.cancelled():
            future.exception()  # that the pool is broken is no news
        self._dying = self._loop.create_task(self._die(), name=f"{self.name} dies")

    async def _die(self) -> None:
        self.pause()
        await asyncio.to_thread(end, self.root)
        death = await asyncio.to_thread(self._bury)
        self._drain()
        for listener in [*self._listeners.values()]:
            listener.gone(death)
        self._listeners.clear()
        self._loop.remove_writer(self._down)
        for descriptor in (self._up, self._down, self._out, self._err):
            os.close(descriptor)
        self.over.set()

    def _bury(self) -> Death:
        # The executor's own thread reads the exit code; asking before it is done would race it for the one byte there is.
        self._executor.shutdown(wait=True)
        code = self._process.exitcode
        step = self._mark.get()
        return Death(None, -code, step) if code is not None and code < 0 else Death(code, None, step)

    def _drain(self) -> None:
        """Take in all that is left in the pipes."""
        with suppress(BrokenFrame):
            while self._take_in():
                pass
        self._drain_raw()

    # -- reading

    def _resume_reading(self) -> None:
        self._loop.add_reader(self._up, self._on_frames)
        self._loop.add_reader(self._out, self._on_raw, self._out)
        self._loop.add_reader(self._err, self._on_raw, self._err)

    def _on_frames(self) -> None:
        try:
            if not self._take_in():
                self._loop.remove_reader(self._up)  # the end of the pipe; the death itself is told by the executor
        except BrokenFrame:
            self._loop.remove_reader(self._up)
            self._signal(9)

    def _take_in(self) -> bool:
        """Handle one bite; False when nothing is there any more."""
        data = _read(self._up)
        if data:
            self._reader.feed(data)
            while received := self._reader.next():
                self._handle(*received)
        return bool(data)

    def _handle(self, code: int, reference: int, body: bytes) -> None:
        listener = self._listeners.get(reference)
        match code:
            case Code.LOG if listener:
                listener.line(body)
            case Code.ENDED if listener:
                ended = events.read(events.ENDED, body)
                self._drain_raw()
                del self._listeners[reference]
                listener.ended(ended)
            case Code.STATUS if listener:
                listener.status(_status(body))
            case Code.STARTED if listener:
                listener.started()
            case Code.ASK if listener:
                listener.asked(events.read(events.ASKED, body))
            case Code.HELLO:
                self.warm.set()
            case Code.PONG:
                self._heard_at = time.monotonic()
            case _:
                pass

    def _on_raw(self, descriptor: int) -> None:
        if not self._take_in_raw(descriptor):
            self._loop.remove_reader(descriptor)

    def _take_in_raw(self, descriptor: int) -> bool:
        data = _read(descriptor)
        if data:
            self._say(self._raw[descriptor].feed(data))
        return data is None or bool(data)

    def _drain_raw(self) -> None:
        """What was written before an ending belongs to it, an unfinished line too."""
        for descriptor, lines in self._raw.items():
            while data := _read(descriptor):
                self._say(lines.feed(data))
            self._say(lines.flush())

    def _say(self, lines: list[bytes]) -> None:
        # On the lane raw output cannot be told apart, so it goes to each that runs.
        for listener in self._listeners.values():
            for line in lines:
                listener.line(line)

    # -- writing

    def _send(self, code: Code, reference: int, body: bytes = b"") -> None:
        if self.over.is_set():
            return  # its descriptors are closed, and their numbers may be another's
        was_empty = not self._unsent
        self._unsent += frame(code, reference, body)
        if was_empty:
            self._write()

    def _write(self) -> None:
        try:
            del self._unsent[: os.write(self._down, self._unsent)]
        except BlockingIOError:
            pass
        except (BrokenPipeError, OSError):
            self._unsent.clear()  # it is dead, or will be told so
        if self._unsent:
            self._loop.add_writer(self._down, self._write)
        else:
            self._loop.remove_writer(self._down)

    def _signal(self, number: int) -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.root.pid)
            if abs(process.create_time() - self.root.started) < 0.05:
                process.send_signal(number)


@dataclass(frozen=True, slots=True)
class _Started:
    executor: ProcessPoolExecutor
    future: Future[int]
    process: BaseProcess
    root: Root
    up: int
    down: int
    out: int
    err: int
    mark: Mark


_starting: Final = threading.Lock()


def _start(options: events.WorkerOptions, preload: tuple[str, ...], *, lane: bool) -> _Started:
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
        before = set(multiprocessing.active_children())
        with _without_main():
            future = executor.submit(os.getpid)  # never runs: it is only what has the process started
        (process,) = set(multiprocessing.active_children()) - before
    # With the parent's copies of the child's ends open, the end of the pipe would never come.
    for connection in given:
        connection.close()
    for descriptor in (up_read, down_write, out_read, err_read):
        os.set_blocking(descriptor, False)
    pid = process.pid or 0
    root = Root(pid, psutil.Process(pid).create_time(), options.marker)
    return _Started(executor, future, process, root, up_read, down_write, out_read, err_read, mark)


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


def _read(descriptor: int) -> bytes | None:
    """A bite; empty at the end of the pipe, None when nothing is there yet."""
    try:
        return os.read(descriptor, _BITE_BYTES)
    except BlockingIOError:
        return None


def _status(body: bytes) -> JsonText:
    """The status in a frame.

    Raises:
        BrokenFrame: it is not.
    """
    if len(body) > STATUS_MAX_BYTES:
        raise BrokenFrame("a status larger than any")
    try:
        return checked(JsonText(body.decode()))
    except ValueError:
        raise BrokenFrame("a status that is not JSON") from None
