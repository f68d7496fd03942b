"""Jobs that change the process for whoever comes next."""

from __future__ import annotations

import faulthandler
import locale
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from tests.slots.deeds.kinds import Ctx, deed


@deed
def change_everything(_ctx: Ctx, folder: str) -> None:
    """Leave the process as no job should find it."""
    os.chdir(folder)
    os.umask(0o077)
    os.environ["LEFT"] = "by another"
    del os.environ["PATH"]
    locale.setlocale(locale.LC_ALL, "C")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.setitimer(signal.ITIMER_PROF, 0.2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
    faulthandler.unregister(signal.SIGUSR2)
    sys.setrecursionlimit(10**9)
    sys.path.insert(0, folder)


@deed
def leave_an_alarm_that_raises(ctx: Ctx) -> None:
    """It would come while the worker removes what lies in the workspace."""
    for number in range(4000):
        (ctx.workspace / str(number)).touch()

    def ring(_number: int, _frame: object) -> None:
        raise ValueError("nobody is here any more")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)


@deed
def block_signals_and_raise_them(_ctx: Ctx) -> None:
    """They wait; whoever lets them through dies of them."""
    numbers = [signal.SIGALRM, signal.SIGTERM, signal.SIGUSR2]
    faulthandler.unregister(signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        os.kill(os.getpid(), number)


@deed
def take_the_dump_signal(_ctx: Ctx) -> None:
    signal.signal(signal.SIGUSR2, lambda *_: None)


@deed
def tell_everything(_ctx: Ctx) -> list[str]:
    """What a job can see of it."""
    handlers = [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGALRM)]
    timers = [str(signal.getitimer(timer)) for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF)]
    umask = os.umask(0o022)
    os.umask(umask)
    mask = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    rest = [str(Path.cwd()), oct(umask), locale.setlocale(locale.LC_ALL), str(mask)]
    python = [str(sys.getrecursionlimit()), str(sys.path)]
    return [*handlers, *timers, *rest, *python, *(f"{name}={value}" for name, value in sorted(os.environ.items()))]


@deed
def be_nice(_ctx: Ctx) -> int:
    return os.nice(1)


@deed
def recurse_in_c(_ctx: Ctx) -> None:
    """To the end of the stack: no limit of the interpreter stops it."""
    # Small enough to end before the fixed count of calls into C that 3.12 and 3.13 allow.
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 10, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    sys.setrecursionlimit(10**9)
    nested: list[Any] = []
    for _ in range(10**6):
        nested = [nested]
    repr(nested)
