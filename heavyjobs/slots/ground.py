"""What a job stands on in its process, put back after it: the next one must not find another's.

Put back are the folder, the umask, the environment, the locale, signal handlers and masks, alarms, the recursion limit and
`sys.path`. What not everyone may put back (limits, priority, user, streams) wears the worker out. Kept is what modules do when
they are imported with the job's class, for that comes before, and what any code keeps in its own variables.
"""

from __future__ import annotations

import importlib
import locale
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_LIMITS: Final = (
    *(resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_CPU),
    *(resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_STACK),
)
"""RLIMIT_DATA is the worker's own to set."""

_handler_of: Final[Callable[[int], Any]] = importlib.import_module("_signal").getsignal
"""Without making an enumeration's member of each, which takes 15 times as long."""

_variables: Final[dict[Any, Any]] = getattr(os.environ, "_data")  # noqa: B009 - private; decoding all of them takes 70 µs


class Ground:
    """As it is when this is made."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._umask = _umask()
        self._variables = _variables.copy()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._handlers = {number: _handler_of(number) for number in _SIGNALS}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._recursion = sys.getrecursionlimit()
        self._path = [*sys.path]
        self._lasting = _lasting()

    def restore(self) -> bool:
        """Put it back, alarms first; False when the process is not to be used again."""
        stop_alarms()
        for number in signal.sigpending():
            signal.signal(number, signal.SIG_IGN)  # which drops it: let through, it would kill a process whose job is done
        for number, handler in self._handlers.items():
            if _handler_of(number) != handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        os.umask(self._umask)
        self._restore_environment()
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
        sys.setrecursionlimit(self._recursion)
        if sys.path != self._path:
            sys.path[:] = self._path
        return self._back_in_folder() and _lasting() == self._lasting

    def _restore_environment(self) -> None:
        if _variables != self._variables:
            os.environ.clear()
            os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in self._variables.items()})

    def _back_in_folder(self) -> bool:
        if _folder() == self._folder:
            return True
        with suppress(OSError):
            os.chdir(self._folder)
        return _folder() == self._folder


def stop_alarms() -> None:
    """Have no alarm come any more: the handler of one may raise, or end the process when there is none."""
    for timer in _TIMERS:
        signal.setitimer(timer, 0)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a path is made of it for each job
    except OSError:
        return ""  # it was removed


def _identity(descriptor: int) -> tuple[int, int] | None:
    """What a descriptor leads to; None when it is closed, so that the next file opened would get its number."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _lasting() -> tuple[Any, ...]:
    streams = [_identity(descriptor) for descriptor in (0, 1, 2)]
    limits = tuple(resource.getrlimit(number) for number in _LIMITS)
    return streams, limits, os.getpriority(os.PRIO_PROCESS, 0), os.getuid(), os.geteuid(), os.getgid(), os.getegid()
