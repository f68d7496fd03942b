"""What jobs say, and give back."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

from loguru import logger

from heavyjobs.errors import Unstorable
from tests.slots.deeds.kinds import Ctx, Status, deed


@deed
def give_back(_ctx: Ctx, value: Any = None) -> Any:
    return value


@deed
def give_unstorable(_ctx: Ctx, what: str) -> Any:
    return {"large": "x" * (2 << 20), "nul": "nul \0", "object": object(), "64 bits": 1 << 70}[what]


@deed
def say_everything(_ctx: Ctx) -> None:
    print("printed")
    logging.getLogger("tests").error("logged %d", 1)
    logger.bind(a=1).debug("loguru {}", 2)
    print("to stderr", file=sys.stderr)
    warnings.warn("warned", stacklevel=1)
    subprocess.run(["echo", "echoed"], check=True)
    os.write(1, b"written to 1\n")
    os.write(2, b"written to 2 \xff\n")
    sys.stdout.buffer.write(b"bytes through Python\n")
    print("original", file=sys.__stdout__)
    ctypes.CDLL(None).puts(b"C says")
    print("unfinished", end="")


@deed
def say_in_turn(_ctx: Ctx, rounds: int) -> None:
    for number in range(rounds):
        print(f"print {number}")
        logging.getLogger("tests").info("logging %d", number)
        logger.info("loguru {}", number)


@deed
def say_odd_things(_ctx: Ctx) -> None:
    print("nul \0 surrogate \udc80")
    print("x" * 40_000)
    logging.getLogger("tests").info("%d arguments", "wrong")
    print()
    print("two\nlines")


@deed
def write_newlines(_ctx: Ctx, size: int) -> None:
    """As many bytes as that to each of the raw streams, every one of them a line."""
    for descriptor in (1, 2):
        left = b"\n" * size
        while left:
            left = left[os.write(descriptor, left) :]


@deed
def leave_writer(_ctx: Ctx) -> None:
    """Return while a thread writes to descriptor 1, as fast as it can and for ever."""
    writing = threading.Event()

    def write() -> None:
        while True:
            os.write(1, b"and so on\n" * 1000)
            writing.set()

    threading.Thread(target=write, daemon=True).start()
    writing.wait()


@deed
def report_too_much(ctx: Ctx) -> str:
    try:
        ctx.report(Status(text="x" * (10 << 20)))
    except Unstorable as error:
        return str(error)
    return "accepted"
