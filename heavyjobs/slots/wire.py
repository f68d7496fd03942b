"""The worker's end of its pipe: frames out, whole and in order, and frames in."""

from __future__ import annotations

import os
import select
import threading
from types import TracebackType
from typing import Final

from heavyjobs.errors import CancelRequested
from heavyjobs.events import ANSWER_MAX_BYTES, Code, FrameReader, Stop, frame

_READ_BYTES: Final = 1 << 16


class Shield:
    """Holds a request to stop back while the main thread is inside a block; it comes when the outermost is left.

    Other threads never see the request, and pass through.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._open = False
        self._armed = False
        self._requested = False
        self.stop: Stop | None = None
        """Why the invocation is to stop; known also while the request is held back. None before it, or when nobody said why."""

        self.raised = False
        """Whether a request to stop was raised, in this invocation or an earlier one."""

    def open(self) -> None:
        """An invocation is here: from now on a request to stop is remembered."""
        self._requested = False
        self.stop = None
        self._open = True

    def arm(self) -> None:
        """From now on it is raised, once.

        Raises:
            CancelRequested: it has come already.
        """
        self._open = self._armed = True
        self._raise_if_due()

    def disarm(self) -> None:
        """The invocation's own code is over: a request that comes now is nobody's."""
        self._open = self._armed = False

    def request(self, stop: Stop | None = None) -> None:
        """Called in the main thread by the signal's handler.

        Raises:
            CancelRequested: at once, unless a block is held or it was raised before.
        """
        if self._open:
            self._requested, self.stop = True, stop or self.stop
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._requested and self._armed and self._depth == 0:
            self._armed = False
            self.raised = True
            raise CancelRequested("this job is to stop")

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth -= 1
            if error is None or isinstance(error, Exception):
                self._raise_if_due()


class Wire:
    """What a worker says goes through here, from whichever thread.

    What it guarantees
    - a frame is written whole: a request to stop that arrives meanwhile is held back until it is;
    - a frame is in the pipe when `send` returns, so the last words of a process that dies are not lost. When the coordinator
      does not read because the database is slow, `send` waits: that is the back-pressure;
    - a request to stop that interrupts `receive` loses nothing of what came in.
    """

    def __init__(self, up: int, down: int) -> None:
        self.shield: Final = Shield()
        self.descriptors: Final = (up, down)
        self._up = up
        self._down = down
        self._lock = threading.Lock()
        self._reader = FrameReader(most=ANSWER_MAX_BYTES)

    def send(self, code: Code, reference: int, body: bytes = b"") -> None:
        data = memoryview(frame(code, reference, body))
        with self.shield, self._lock:
            while data:
                data = data[os.write(self._up, data) :]

    def cut_off(self) -> None:
        """In a fork: what it says would mix with what its parent says, what it reads would be missing there."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in self.descriptors:
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)
        self._lock = threading.Lock()  # another thread may have held it at the fork

    def receive(self) -> tuple[int, int, bytes] | None:
        """The next frame, waiting for it; None at the end of the pipe."""
        while True:
            with self.shield:
                received = self._reader.next()
            if received is not None:
                return received
            select.select([self._down], [], [])  # interrupted here, nothing is half done
            with self.shield:
                if not self.read():
                    return None

    def read(self) -> bool:
        """Take in what is there; False at the end of the pipe."""
        data = os.read(self._down, _READ_BYTES)
        self._reader.feed(data)
        return bool(data)

    def next(self) -> tuple[int, int, bytes] | None:
        """The next frame of what was taken in, or None."""
        return self._reader.next()
