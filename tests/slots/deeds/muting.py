"""Jobs that close or spoil what they speak through."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios
import threading
import time
from pathlib import Path

from heavyjobs.events import HEADER, Code
from tests.slots.deeds.digging import wire
from tests.slots.deeds.kinds import Ctx, deed


@deed
def close_streams(_ctx: Ctx) -> str:
    os.closerange(0, 3)
    print("said all the same")
    return "done"


@deed
def close_all_but_streams(_ctx: Ctx, then: str) -> None:
    print("closing", flush=True)
    os.closerange(3, 4096)
    if then == "hang":
        time.sleep(600)


@deed
def write_half_a_frame(_ctx: Ctx, then: str) -> None:
    """Found as anyone could: whatever pipe takes it."""
    for path in Path("/proc/self/fd").iterdir():
        number = int(path.name)
        if number > 2 and path.exists() and path.readlink().name.startswith("pipe:"):
            with contextlib.suppress(OSError):
                os.write(number, HEADER.pack(1 << 20, Code.LOG, 1) + b"[")
    if then == "hang":
        time.sleep(600)


@deed
def leave_half_a_frame_behind(_ctx: Ctx) -> None:
    """It comes once the end is told; what was printed before takes more than one bite."""
    up = wire().descriptors[0]

    def follow() -> None:
        while int.from_bytes(fcntl.ioctl(up, termios.FIONREAD, bytes(4)), sys.byteorder) < 100:
            time.sleep(0.01)
        os.write(up, HEADER.pack(1 << 20, Code.LOG, 1) + b"[" * 1000)

    os.write(1, b"x\n" * 20_000)
    threading.Thread(target=follow, daemon=True).start()


@deed
def fill_the_pipe_and_return(_ctx: Ctx) -> str:
    """So that its result does not fit into the pipe any more."""
    for _ in range(100):
        print("x" * 8000)
    return "x" * 900_000


@deed
def say_at_length(_ctx: Ctx, size: int) -> None:
    print("x" * size)
