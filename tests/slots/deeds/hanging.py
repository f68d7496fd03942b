"""Jobs that do not stop, or are slow to."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from heavyjobs.errors import CancelRequested
from tests.slots.deeds.digging import wire
from tests.slots.deeds.kinds import Ctx, Status, deed


@deed
def hang(_ctx: Ctx, how: str) -> None:
    print("hanging", flush=True)
    match how:
        case "sleep":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "regex":
            re.match(r"(a|aa)+$", "a" * 100 + "b")
        case "C sleep holding the lock":
            ctypes.PyDLL(None).sleep(600)
        case "C sleep":
            ctypes.CDLL(None).sleep(600)
        case "lock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "child":
            subprocess.run(["sleep", "600"], check=True)
        case _:
            raise AssertionError(how)


@deed
def hang_in_c(_ctx: Ctx) -> None:
    print("hanging", flush=True)
    deque(itertools.repeat(None), maxlen=0)


@deed
def swallow_all(_ctx: Ctx) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            print("hanging", flush=True)
            time.sleep(600)


@deed
def flood_until_stopped(_ctx: Ctx) -> int:
    """Log without end; how many lines were said before the request to stop."""
    number = 0
    try:
        for number in itertools.count():
            print(f"line {number} " + "x" * (number % 700))
    except CancelRequested:
        return number
    raise AssertionError("the count is without end")


@deed
def checkpoint_until_stopped(ctx: Ctx) -> None:
    print("checkpoints", flush=True)
    for number in itertools.count():
        ctx.checkpoint(Status(text=str(number)))


@deed
def publish(ctx: Ctx, path: str) -> str:
    """Be asked to stop in the middle of publishing; what happened to the file and to us."""
    try:
        with ctx.output(path) as out:
            out.path.write_text("whole")
            os.kill(os.getpid(), signal.SIGSTOP)  # the test goes on from here
    except CancelRequested:
        return f"cancelled, {'published' if Path(path).exists() else 'nothing there'}"
    return "published"


@deed
def shielded(ctx: Ctx) -> list[str]:
    done: list[str] = []
    try:
        with ctx.shielded():
            print("shielded", flush=True)
            deadline = time.monotonic() + 10
            while not signals_pending() and time.monotonic() < deadline:
                time.sleep(0.01)
            done.append("inside")
        done.append("after")
    except CancelRequested:
        done.append("cancelled")
    return done


def signals_pending() -> bool:
    """Whether the request has come: the wire's shield knows."""
    return wire().shield._requested
