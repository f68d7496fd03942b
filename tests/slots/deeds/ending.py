"""Jobs that end badly."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from typing import Final

from typing_extensions import override

from heavyjobs.errors import CancelRequested
from tests.slots.deeds.kinds import Ctx, Failed, deed


@deed
def segfault(_ctx: Ctx) -> None:
    print("before the fault")
    ctypes.string_at(0)


@deed
def exit_with(_ctx: Ctx, code: int) -> None:
    print("before the exit")
    os._exit(code)


@deed
def kill_itself(_ctx: Ctx) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@deed
def raise_endless_behind_a_mask(_ctx: Ctx) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    raise Endless from EndlessGuarded()


@deed
def raise_by_name(_ctx: Ctx, name: str) -> None:
    raise ERRORS[name]


class Unpicklable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.lock = threading.Lock()


class Unspeakable(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("no words")


class ExitsWhenTold(Exception):
    @override
    def __str__(self) -> str:
        raise SystemExit(3)


class Endless(Exception):
    @override
    def __str__(self) -> str:
        said = "and so on "
        while said:
            said = said[::-1]
        return said


class EndlessGuarded(Exception):
    """Lets no `Exception` end it."""

    @override
    def __str__(self) -> str:
        said = "and so on "
        while said:
            with contextlib.suppress(Exception):
                said = said[::-1]
        return said


ERRORS: Final[dict[str, BaseException]] = {
    "ExitsWhenTold": ExitsWhenTold(),
    "SystemExit": SystemExit(5),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "MemoryError": MemoryError("none left"),
    "GeneratorExit": GeneratorExit(),
    "Unpicklable": Unpicklable(1, 2),
    "Unspeakable": Unspeakable(),
    "Endless": Endless(),
    "EndlessGuarded": EndlessGuarded(),
    "odd text": ValueError("nul \0 surrogate \udc80 " + "x" * 100_000),
    "CancelRequested": CancelRequested("nobody asked for this"),
}


@deed
def allocate(_ctx: Ctx, size: int) -> int:
    return len(bytearray(size))


@deed
def recurse(ctx: Ctx) -> None:
    recurse(ctx)


@deed
def fail_and_swallow(ctx: Ctx) -> str:
    with contextlib.suppress(BaseException):
        ctx.fail(Failed(why="really"), retry=False)
    return "all is well"
