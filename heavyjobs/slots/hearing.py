"""Hear what a worker says: frames on one pipe, raw output on two others, each in the order in which it was said.

What it guarantees
- each listener hears exactly one of `ended` and `gone`, after all lines that came before it;
- reading never blocks and takes a bounded bite each turn of the loop, until `drain`.

What it assumes
- descriptors that do not block, which stay open until it has been stopped and drained.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from heavyjobs import events
from heavyjobs.events import BrokenFrame, Code, FrameReader
from heavyjobs.logs import decode_chunk, join_lines
from heavyjobs.model import Bill, Ending, Source
from heavyjobs.slots.listener import Death, Listener
from heavyjobs.slots.rawlines import RawLines
from heavyjobs.values import STATUS_MAX_BYTES, JsonText, checked

_BITE_BYTES: Final = 1 << 16
_RAW_BITE_BYTES: Final = 1 << 14
"""Of raw output, where each byte may be a line."""

_RAW_REST_SECONDS: Final = 0.002
"""After a whole bite of it: a loop that never rests leaves the interpreter to no other thread for long."""

HALF_FRAME_SECONDS: Final = 30.0
"""How long the rest of a frame may be under way; a worker writes frames whole."""

_DEATH_SECONDS: Final = 2.0
"""Between the end of a worker's pipe and its death, which is told by its executor: more, and it is alive."""

_FIRST_LINES: Final = 5
"""Of what a worker says before it is warm: a traceback ends with its reason."""

_RAW_LISTENERS_MAX: Final = 8
"""On the lane: to so many invocations raw output goes at most."""


@dataclass(slots=True)
class _Ending:
    """An invocation whose worker has said that it ended, while what it wrote before is still being read.

    Attributes:
        raw: bytes that lay in the raw streams by then, those that were read since taken off.
    """

    reference: int
    ended: events.Ended
    raw: dict[int, int]


class Hearing:
    """Begins to read as it is made.

    Args:
        lives: whether the worker is neither dead nor known to be dying.

    Attributes:
        listeners: by the reference of their invocation; each leaves with its end.
        warm: set by the worker's hello.
        used: by the worker in all its life, by its own word at the end of its last invocation.
        broken: why the worker was killed, if it was because of what it said.
    """

    def __init__(self, *, up: int, out: int, err: int, lives: Callable[[], bool], kill: Callable[[], None]) -> None:
        self.listeners: Final[dict[int, Listener]] = {}
        self.warm: Final = asyncio.Event()
        self.used = Bill()
        self.broken: str | None = None
        self._lives, self._kill = lives, kill
        self._up = up
        self._raw = {out: RawLines(Source.STDOUT), err: RawLines(Source.STDERR)}
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._first_lines: deque[bytes] = deque(maxlen=_FIRST_LINES)
        self._heard_at = time.monotonic()
        self._paused = self._stopped = self._over = False
        self._ending: _Ending | None = None
        self._half: asyncio.TimerHandle | None = None
        self._resume_reading()

    @property
    def first_words(self) -> str:
        """The end of what was written before the worker was warm."""
        said = [line.text for line in decode_chunk(0, 0, join_lines(self._first_lines))] if self._first_lines else []
        return " | ".join(said) or "it said nothing"

    @property
    def silent_seconds(self) -> float:
        """Since the last answer to a ping; 0 while nothing is read."""
        return 0.0 if self._paused else time.monotonic() - self._heard_at

    def pause(self) -> None:
        """Stop reading: the pipes fill, and whoever logs waits."""
        if not self._paused:
            self._paused = True
            for descriptor in (self._up, *self._raw):
                self._loop.remove_reader(descriptor)

    def resume(self) -> None:
        if self._paused and not self._stopped:
            self._paused = False
            self._heard_at = time.monotonic()
            self._resume_reading()

    def stop(self) -> None:
        """Read no more, but for `drain`: the worker dies."""
        self._stopped = True
        self.pause()

    def drain(self) -> None:
        """Take in what is left in the pipes; no more than is there now, for one that has fled may go on writing."""
        left = bytes_in(self._up)
        while left > 0 or self._ending is not None:
            data = self._take_in() if left > 0 else None
            left = left - len(data) if data else 0
            while not self._go_on_ending():
                pass
            self._handle_frames()
        self._ending = _Ending(0, events.Ended(ending=Ending.CRASHED), self._raw_there())
        while not self._go_on_ending():
            pass

    def tell_gone(self, death: Death) -> None:
        """The last that listeners hear."""
        self._over = True
        for listener in [*self.listeners.values()]:
            listener.gone(death)
        self.listeners.clear()

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
        wanting = self._reader.wanting and self._ending is None and not self._stopped
        self._half = self._loop.call_later(HALF_FRAME_SECONDS, self._miss_the_rest) if wanting else None

    def _miss_the_rest(self) -> None:
        if self._paused:
            self._expect_the_rest()
        else:
            self._give_up("it has left half a frame")

    def _give_up(self, reason: str) -> None:
        """Distrust it, unless it is dying anyway."""
        if not self._stopped and self._lives():
            self._distrust(reason)

    def _distrust(self, reason: str) -> None:
        """What it says is not to be understood any more: it can as well be gone."""
        if self.broken is None:
            self.broken = reason
            self._loop.remove_reader(self._up)
            self._kill()

    def _handle_frames(self) -> None:
        try:
            while self.broken is None and self._ending is None and (received := self._reader.next()):
                self._handle(*received)
        except BrokenFrame as broken:
            self._distrust(str(broken))

    def _handle(self, code: int, reference: int, body: bytes) -> None:
        listener = self.listeners.get(reference)
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
        if self._over:
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
        if listener := self.listeners.pop(ending.reference, None):
            self.used = ending.ended.so_far
            listener.ended(ending.ended)
        return True

    def _raw_there(self) -> dict[int, int]:
        """How many bytes lie in the raw streams now: what was written before an ending, if one is at hand."""
        return {descriptor: bytes_in(descriptor) for descriptor in self._raw}

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
        for listener in islice(self.listeners.values(), _RAW_LISTENERS_MAX):
            for line in lines:
                listener.line(line)


def _read(descriptor: int, most: int) -> bytes | None:
    """A bite; empty at the end of the pipe, None when nothing is there yet."""
    try:
        return os.read(descriptor, most)
    except BlockingIOError:
        return None


def bytes_in(descriptor: int) -> int:
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
