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
import fcntl
import os
import signal
import sys
import termios
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, Self

import psutil

from heavyjobs import events
from heavyjobs.events import BrokenFrame, Code, FrameReader, frame
from heavyjobs.logs import decode_chunk, join_lines
from heavyjobs.model import Bill, Ending, Source
from heavyjobs.processes import started_at
from heavyjobs.slots import forking
from heavyjobs.slots.rawlines import RawLines
from heavyjobs.slots.starting import NotStarted, Started, start_process
from heavyjobs.slots.tree import Swept, end
from heavyjobs.slots.worker import CANCEL_SIGNAL, DUMP_SIGNAL
from heavyjobs.values import STATUS_MAX_BYTES, JsonText, checked
from heavyjobs.waiting import first_of

_BITE_BYTES: Final = 1 << 16
_RAW_BITE_BYTES: Final = 1 << 14
"""Of raw output, where each byte may be a line."""

_RAW_REST_SECONDS: Final = 0.002
"""After a whole bite of it: a loop that never rests leaves the interpreter to no other thread for long."""

HALF_FRAME_SECONDS: Final = 30.0
"""How long the rest of a frame may be under way; a worker writes frames whole."""

_DEATH_SECONDS: Final = 2.0
"""Between the end of a worker's pipe and its death, which is told by its executor: more, and it is alive."""

_LOOK_SECONDS: Final = 1.0
"""How often, while a start that nobody wants any more is waited for, whether what forks workers was stopped."""

_UNKNOWN_EXIT_CODE: Final = 255
"""What multiprocessing says when the process that would have told it is gone."""

_FIRST_LINES: Final = 5
"""Of what a worker says before it is warm: a traceback ends with its reason."""

_RAW_LISTENERS_MAX: Final = 8
"""On the lane: to so many invocations raw output goes at most."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker went: its exit code, or the signal that ended it.

    Attributes:
        step: lane only: the reference of the invocation whose step was running; 0 when none was.
        reason: why its coordinator has ended it, or given it up; None when it did not.
        blameless: the process that forks workers is gone, and all of its with it: nothing that ran here need have done that.
    """

    exit_code: int | None
    signal: int | None
    step: int = 0
    reason: str | None = None
    blameless: bool = False


@dataclass(slots=True)
class _Ending:
    """An invocation whose worker has said that it ended, while what it wrote before is still being read.

    Attributes:
        raw: bytes that lay in the raw streams by then, those that were read since taken off.
    """

    reference: int
    ended: events.Ended
    raw: dict[int, int]


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

    def __init__(self, name: str, started: Started, *, lane: bool) -> None:
        self.name: Final = name
        self.root: Final = started.root
        self.lane: Final = lane
        self.warm: Final = asyncio.Event()
        self.over: Final = asyncio.Event()
        self.used = Bill()
        """In all its life, by its own word at the end of its last invocation."""
        self._first_lines: deque[bytes] = deque(maxlen=_FIRST_LINES)
        self._heard_at = time.monotonic()
        self._mark = started.mark
        self._executor = started.executor
        self._process = started.process
        self._up, self._out, self._err = started.up, started.out, started.err
        self._down, self._hold = started.down, started.hold
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._raw = {self._out: RawLines(Source.STDOUT), self._err: RawLines(Source.STDERR)}
        self._listeners: dict[int, Listener] = {}
        self._references = 0
        self._paused = False
        self._ending: _Ending | None = None
        self._broken: str | None = None
        self._half: asyncio.TimerHandle | None = None
        self._dying: asyncio.Task[None] | None = None
        self._resume_reading()
        asyncio.wrap_future(started.future).add_done_callback(self._on_death)

    @classmethod
    async def start(
        cls,
        name: str,
        options: events.WorkerOptions,
        *,
        preload: tuple[str, ...] = (),
        lane: bool,
        lifeline: int | None = None,
    ) -> Self:
        """Start a process; it is of use once `warm` is set.

        Raises:
            NotStarted: it, or the process that it comes from, died meanwhile; try again.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(start_process, options, preload, lane=lane, lifeline=lifeline))
        try:
            return cls(name, await asyncio.shield(starting), lane=lane)
        except asyncio.CancelledError:
            # The thread goes on all the same, and a worker that nobody knows would live for ever.
            with suppress(NotStarted):
                await cls(name, await _in_the_end(starting), lane=lane).end()
            raise

    @property
    def first_words(self) -> str:
        """The end of what it wrote before it was warm: why it died, when it did."""
        said = [line.text for line in decode_chunk(0, 0, join_lines(self._first_lines))] if self._first_lines else []
        return " | ".join(said) or "it said nothing"

    # -- talking to it

    @property
    def running(self) -> int:
        """Invocations that have neither ended nor gone."""
        return len(self._listeners)

    @property
    def usable(self) -> bool:
        """Whether it is warm, and neither dying nor gone."""
        return self.warm.is_set() and self._dying is None and not self.over.is_set()

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
            self._signal(CANCEL_SIGNAL)

    def dump(self) -> None:
        """Have the stacks of all threads written to the log, by C code that needs no lock of the interpreter."""
        self._signal(DUMP_SIGNAL)

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
        """Kill it and all that it started; whoever listens hears `gone`, unless a last `ended` was in the pipe.

        One that cannot be killed (in uninterruptible sleep) is set aside: it is `over`, and never used again.
        """
        forking.go_on()  # or nobody would be told of the death
        swept = await asyncio.to_thread(end, self.root, seconds=seconds)
        if not await first_of(self.over, seconds=seconds):
            self.pause()
            self._tell_gone(Death(None, None, reason=f"it cannot be ended: {', '.join(swept.left) or self.name}"))
            self.over.set()
        return swept

    def _on_death(self, future: asyncio.Future[int]) -> None:
        if not future.cancelled():
            future.exception()  # that the pool is broken is no news
        self._dying = self._loop.create_task(self._die(), name=f"{self.name} dies")

    async def _die(self) -> None:
        self.pause()
        try:
            await asyncio.to_thread(end, self.root)
        finally:
            await self._close()  # whatever went wrong there: who listens must hear of the death

    async def _close(self) -> None:
        death = await asyncio.to_thread(self._bury)
        self._drain()
        self._tell_gone(death)
        self._loop.remove_writer(self._down)
        for descriptor in (self._up, self._down, self._out, self._err, self._hold):
            os.close(descriptor)
        self.over.set()

    def _tell_gone(self, death: Death) -> None:
        for listener in [*self._listeners.values()]:
            listener.gone(death)
        self._listeners.clear()

    def _bury(self) -> Death:
        # The executor's own thread reads the exit code; asking before it is done would race it for the one byte there is.
        self._executor.shutdown(wait=True)
        code = self._process.exitcode
        if code == _UNKNOWN_EXIT_CODE and forking.has_left(self._hold):
            return Death(None, None, self._mark.get(), "the process that forks workers was killed", blameless=True)
        killed_by = -code if code is not None and code < 0 else None
        return Death(None if killed_by else code, killed_by, self._mark.get(), self._broken)

    def _drain(self) -> None:
        """Take in what is left in the pipes; no more than is there now, for one that has fled may go on writing."""
        while self._take_in() or self._ending is not None:
            while not self._go_on_ending():
                pass
            self._handle_frames()
        self._ending = _Ending(0, events.Ended(ending=Ending.CRASHED), self._raw_there())
        while not self._go_on_ending():
            pass

    # -- reading

    def _resume_reading(self) -> None:
        self._loop.add_reader(self._up, self._on_frames)
        for descriptor in self._raw:
            self._read_raw(descriptor)

    def _on_frames(self) -> None:
        if self._ending is not None:
            return
        if self._take_in() == b"":
            self._loop.remove_reader(self._up)
            # The death itself is told by the executor; but a job may have closed the pipe of a process that lives on.
            self._loop.call_later(_DEATH_SECONDS, self._give_up, "it has closed the pipe on which it speaks")

    def _take_in(self) -> bytes | None:
        """Handle one bite; empty at the end of the pipe, None when nothing is there yet."""
        data = _read(self._up, _BITE_BYTES)
        if data:
            self._reader.feed(data)
            self._handle_frames()
        self._expect_the_rest()
        return data

    def _expect_the_rest(self) -> None:
        """Give the worker up when it leaves half a frame: whatever it says after that is taken for the other half."""
        if self._half is not None:
            self._half.cancel()
        wanting = self._reader.wanting and self._ending is None and self._dying is None
        self._half = self._loop.call_later(HALF_FRAME_SECONDS, self._miss_the_rest) if wanting else None

    def _miss_the_rest(self) -> None:
        if self._paused:
            self._expect_the_rest()
        else:
            self._give_up("it has left half a frame")

    def _give_up(self, reason: str) -> None:
        """End it, unless it is dying anyway."""
        if self._dying is None and not self.over.is_set() and self._lives():
            self._distrust(reason)

    def _distrust(self, reason: str) -> None:
        """What it says is not to be understood any more: it can as well be gone."""
        if self._broken is None:
            self._broken = reason
            self._loop.remove_reader(self._up)
            self._signal(signal.SIGKILL)

    def _handle_frames(self) -> None:
        try:
            while self._broken is None and self._ending is None and (received := self._reader.next()):
                self._handle(*received)
        except BrokenFrame as broken:
            self._distrust(str(broken))

    def _handle(self, code: int, reference: int, body: bytes) -> None:
        listener = self._listeners.get(reference)
        match code:
            case Code.LOG if listener:
                listener.line(body)
            case Code.ENDED if listener:
                self._ending = _Ending(reference, events.read(events.ENDED, body), self._raw_there())
                if not self._go_on_ending():
                    self._loop.call_soon(self._end_on_and_on)
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

    def _end_on_and_on(self) -> None:
        """Finish an ending, a bite each turn of the loop; then go on with the frames after it."""
        if self.over.is_set():
            return
        if self._go_on_ending():
            self._handle_frames()
            self._expect_the_rest()
        else:
            self._loop.call_soon(self._end_on_and_on)

    def _go_on_ending(self) -> bool:
        """Take in a bite of what was written before; whether that was all, and the ending is told."""
        ending = self._ending
        if ending is None:
            return True
        for descriptor, left in ending.raw.items():
            data = _read(descriptor, min(left, _RAW_BITE_BYTES)) if left else None
            ending.raw[descriptor] = left - len(data) if data else 0
            self._say(self._raw[descriptor].feed(data or b""))
        if any(ending.raw.values()):
            return False
        for lines in self._raw.values():
            self._say(lines.flush())  # an unfinished line belongs to it too
        self._ending = None
        if listener := self._listeners.pop(ending.reference, None):
            self.used = ending.ended.so_far
            listener.ended(ending.ended)
        return True

    def _raw_there(self) -> dict[int, int]:
        """How many bytes lie in the raw streams now: what was written before an ending, if one is at hand."""
        return {descriptor: _bytes_in(descriptor) for descriptor in self._raw}

    def _on_raw(self, descriptor: int) -> None:
        data = _read(descriptor, _RAW_BITE_BYTES)
        if data is None:
            return
        self._say(self._raw[descriptor].feed(data))
        if len(data) in {0, _RAW_BITE_BYTES}:
            self._loop.remove_reader(descriptor)
        if len(data) == _RAW_BITE_BYTES:
            self._loop.call_later(_RAW_REST_SECONDS, self._read_raw, descriptor)

    def _read_raw(self, descriptor: int) -> None:
        if not self._paused:
            self._loop.add_reader(descriptor, self._on_raw, descriptor)

    def _say(self, lines: list[bytes]) -> None:
        if not self.warm.is_set():
            self._first_lines.extend(lines)
        # On the lane raw output cannot be told apart, so it goes to each that runs, or to some when there are many.
        for listener in islice(self._listeners.values(), _RAW_LISTENERS_MAX):
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
        with suppress(ProcessLookupError):
            if self._lives():
                os.kill(self.root.pid, number)

    def _lives(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            same = abs(started_at(self.root.pid) - self.root.started) < 0.05
            return same and psutil.Process(self.root.pid).status() != psutil.STATUS_ZOMBIE
        return False


async def _in_the_end(starting: asyncio.Future[Started]) -> Started:
    """What comes of it, though nobody else may be there any more to continue a process that was stopped."""
    while not (await asyncio.wait([starting], timeout=_LOOK_SECONDS))[0]:
        forking.go_on()
    return starting.result()


def _read(descriptor: int, most: int) -> bytes | None:
    """A bite; empty at the end of the pipe, None when nothing is there yet."""
    try:
        return os.read(descriptor, most)
    except BlockingIOError:
        return None


def _bytes_in(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


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
