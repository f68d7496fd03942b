"""Bound the time of a job's own code that runs once the job has ended: no request to stop reaches it any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_AGAIN_SECONDS: Final = 0.5
"""For what swallows the first, and goes on."""


class TookTooLong(BaseException):
    """No `Exception`, or most code would take it for one of its own."""


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Interrupt the block after that time, and again and again while it goes on; in the main thread, and while it runs Python.

    An alarm that was set before rings later by as much.

    Raises:
        TookTooLong: in the block, or at its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = signal.signal(signal.SIGALRM, signal.SIG_IGN) or signal.SIG_DFL  # drops one that waits behind a mask
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.signal(signal.SIGALRM, _interrupt)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also when it rang just then
        signal.signal(signal.SIGALRM, own)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def _interrupt(_number: int, _frame: object) -> None:
    raise TookTooLong
