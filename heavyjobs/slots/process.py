"""A worker process as its coordinator sees it: started by an executor, spoken to over pipes, ended by force.

        coordinator                                          worker (leads its own session)
    ┌──────────────────┐   executor: keeps the process     ┌───────────────────────────────┐
    │  WorkerProcess   │──────────────────────────────────▶│ work(): does not return       │
    │                  │   down: Run, Answer, cancel       │                               │
    │   run() ─────────┼──────────────────────────────────▶│ serial: one invocation, or    │
    │                  │   up: started, status, log, ended │ lane: many                    │
    │   Hearing ◀──────┼───────────────────────────────────│                               │
    │                  │   out, err: descriptors 1 and 2   │ child programs, C code,       │
    │                  │◀──────────────────────────────────│ the last words of a crash     │
    └──────────────────┘                                   └───────────────────────────────┘

What it guarantees
- each listener hears exactly one of `ended` and `gone`, after all lines that came before it (`hearing`);
- `gone` comes when the process and all that it started are gone; a last frame that it still sent wins.

What it assumes
- the executor is never asked for a result: a worker killed while its result went through one left the future pending for ever.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final, Self

import psutil

from heavyjobs import events
from heavyjobs.events import Code, Stop, frame
from heavyjobs.model import Bill
from heavyjobs.processes import started_at
from heavyjobs.scratch import sweep_scratch
from heavyjobs.slots import forking
from heavyjobs.slots.hearing import Hearing
from heavyjobs.slots.listener import Death, Listener
from heavyjobs.slots.starting import NotStarted, Started, start_process
from heavyjobs.slots.tree import Swept, end
from heavyjobs.slots.worker import CANCEL_SIGNAL, DUMP_SIGNAL
from heavyjobs.waiting import first_of

_LOOK_SECONDS: Final = 1.0
"""How often, while what forks workers is waited for, whether it was stopped."""

_UNKNOWN_EXIT_CODE: Final = 255
"""What multiprocessing says when the process that would have told it is gone."""


class WorkerProcess:
    """One worker, from its start to its end. Made by `start`."""

    def __init__(self, name: str, started: Started, *, lane: bool) -> None:
        self.name: Final = name
        self.root: Final = started.root
        self.lane: Final = lane
        self.over: Final = asyncio.Event()
        self._mark = started.mark
        self._executor = started.executor
        self._process = started.process
        self._up, self._out, self._err = started.up, started.out, started.err
        self._down, self._hold = started.down, started.hold
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._references = 0
        self._dying: asyncio.Task[None] | None = None
        self._hearing = Hearing(up=self._up, out=self._out, err=self._err, lives=self._lives, kill=self._kill)
        self.warm: Final = self._hearing.warm
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
        return self._hearing.first_words

    # -- talking to it

    @property
    def running(self) -> int:
        """Invocations that have neither ended nor gone."""
        return len(self._hearing.listeners)

    @property
    def used(self) -> Bill:
        """In all its life, by its own word at the end of its last invocation."""
        return self._hearing.used

    @property
    def usable(self) -> bool:
        """Whether it is warm, and neither dying nor gone."""
        return self.warm.is_set() and self._dying is None and not self.over.is_set()

    def run(self, run: events.Run, listener: Listener) -> int:
        """Start an invocation; gives its reference on this worker."""
        self._references += 1
        if not self.over.is_set():
            self._mark.ask(None)
        self._hearing.listeners[self._references] = listener
        self._send(Code.RUN, self._references, events.RUN.dump_json(run))
        return self._references

    def answer(self, reference: int, answer: events.Answer) -> None:
        self._send(Code.ANSWER, reference, events.ANSWER.dump_json(answer))

    def cancel(self, reference: int, why: Stop | None = None) -> None:
        """Ask an invocation to stop; it hears of it, and why, as soon as its thread runs Python again."""
        if self.lane:
            self._send(Code.CANCEL, reference, (why or "").encode())
        elif reference in self._hearing.listeners:
            self._mark.ask(why)
            self._signal(CANCEL_SIGNAL)

    def dump(self) -> None:
        """Have the stacks of all threads written to the log, by C code that needs no lock of the interpreter."""
        self._signal(DUMP_SIGNAL)

    def ping(self) -> None:
        self._send(Code.PING, 0)

    @property
    def silent_seconds(self) -> float:
        """Since it last answered a ping; 0 while it is not read."""
        return self._hearing.silent_seconds

    def blame(self) -> None:
        """Tell the invocation whose step is running that nobody else can go on."""
        if not self.over.is_set() and (listener := self._hearing.listeners.get(self._mark.get())):
            listener.blocks()

    def pause(self) -> None:
        """Stop reading: its pipes fill, and whoever logs waits."""
        self._hearing.pause()

    def resume(self) -> None:
        self._hearing.resume()

    # -- ending it

    async def end(self, *, seconds: float = 5.0) -> Swept:
        """Kill it and all that it started; whoever listens hears `gone`, unless a last `ended` was in the pipe.

        One that cannot be killed (in uninterruptible sleep) is set aside: it is `over`, and never used again.
        """
        swept = await asyncio.to_thread(end, self.root, seconds=seconds)
        if not await self._told_dead(seconds=seconds):
            self._hearing.stop()
            self._hearing.tell_gone(Death(None, None, reason=f"it cannot be ended: {', '.join(swept.left) or self.name}"))
            self.over.set()
        return swept

    async def _told_dead(self, *, seconds: float) -> bool:
        """Whether we hear of the death within that time, from a process that a job may have stopped."""
        deadline = self._loop.time() + seconds
        while not self.over.is_set() and (left := deadline - self._loop.time()) > 0:
            forking.go_on()
            await first_of(self.over, seconds=min(left, _LOOK_SECONDS))
        return self.over.is_set()

    def _on_death(self, future: asyncio.Future[int]) -> None:
        if not future.cancelled():
            future.exception()  # that the pool is broken is no news
        self._dying = self._loop.create_task(self._die(), name=f"{self.name} dies")

    async def _die(self) -> None:
        self._hearing.stop()
        try:
            await asyncio.to_thread(end, self.root)
        finally:
            await self._close()  # whatever went wrong there: who listens must hear of the death
        await asyncio.to_thread(sweep_scratch, self.root.marker)  # nobody waits for that: it may be gigabytes

    async def _close(self) -> None:
        death = await asyncio.to_thread(self._bury)
        self._hearing.drain()
        self._hearing.tell_gone(death)
        self._loop.remove_writer(self._down)
        for descriptor in (self._up, self._down, self._out, self._err, self._hold):
            os.close(descriptor)
        self.over.set()
        # Else their descriptors would stay until the garbage is collected, which may be many deaths later.
        self._process.close()
        self._mark.close()

    def _bury(self) -> Death:
        # The executor's own thread reads the exit code; asking before it is done would race it for the one byte there is.
        self._executor.shutdown(wait=True)
        code = self._process.exitcode
        if code == _UNKNOWN_EXIT_CODE and forking.has_left(self._hold):
            return Death(None, None, self._mark.get(), "the process that forks workers was killed", blameless=True)
        killed_by = -code if code is not None and code < 0 else None
        return Death(None if killed_by else code, killed_by, self._mark.get(), self._hearing.broken)

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

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _lives(self) -> bool:
        return self._dying is None and not self.over.is_set() and self._is_there()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._is_there():
                os.kill(self.root.pid, number)

    def _is_there(self) -> bool:
        try:
            same = abs(started_at(self.root.pid) - self.root.started) < 0.05
            return same and psutil.Process(self.root.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except (psutil.AccessDenied, OSError):
            return True  # nobody can look just now, as when no descriptor is left; its death would have been told


async def _in_the_end(starting: asyncio.Future[Started]) -> Started:
    """What comes of it, though nobody else may be there any more to continue a process that was stopped."""
    while not (await asyncio.wait([starting], timeout=_LOOK_SECONDS))[0]:
        forking.go_on()
    return starting.result()
