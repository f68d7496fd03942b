"""Lifelines: pipes whose end makes the kernel kill process groups, when nobody is left who could.

A coordinator and its guardian hold the writing end, and neither ever writes. When both are gone, whatever ended them, the
kernel sends SIGKILL to each group that was tied to the reading end. No code of ours runs for that, so nothing that a job does
is in its way: C code that holds the interpreter's lock, handlers, masked signals. Linux only; elsewhere nothing is tied.

It is the last line. The guardian, or what forks the workers, where one of them lives, also finds what has left its group.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from contextlib import suppress

_held: int | None = None
"""The descriptor that ties this process's own group."""


def lifeline() -> tuple[int, int]:
    """A new one: its reading end and its writing end."""
    reading, writing = os.pipe()
    with suppress(OSError):
        os.fchmod(reading, 0o444)  # a worker of another user opens it anew
    return reading, writing


def hold(reading: int) -> None:
    """Tie this process's own group, and from now on whatever `tie` is asked for; `reading` may be closed."""
    global _held  # noqa: PLW0603 - a process has one
    _held = _tied(reading, os.getpgrp())


def held() -> set[int]:
    """The descriptor of ours that must stay open, if there is one."""
    return set() if _held is None else {_held}


def tie(group: int) -> int | None:
    """Have the kernel kill that group too; the descriptor that unties it by being closed, None where it cannot be tied."""
    return None if _held is None else _tied(_held, group)


def _tied(reading: int, group: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        # Opened anew, for duplicates have one owner together.
        tied = os.open(f"/proc/self/fd/{reading}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # no /proc here, or no longer our pipe
    with suppress(OSError):  # the group is gone already
        fcntl.fcntl(tied, fcntl.F_SETOWN, -group)
        fcntl.fcntl(tied, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(tied, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        ends = select.poll()
        ends.register(tied)
        if ends.poll(0):  # its end came before
            os.killpg(group, signal.SIGKILL)
    return tied
