"""What the benchmarks run: jobs that do nothing, say when, hang, flood, or wait for a gate."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Literal, Never, NoReturn, TypeAlias

import psutil
from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig
from heavyjobs.jobs.media import find_ffmpeg

Way: TypeAlias = Literal["spin", "sleep", "stuck"]


class Times(BaseModel):
    """The first and the last line of `run`, by the machine's clock."""

    first_ns: int
    last_ns: int


class Going(BaseModel):
    """It is under way, and these processes must be gone once it was cancelled."""

    pids: list[int]


class Clock(Job[Times], kind="bench.clock"):
    seconds: float = 0.0

    def run(self, _ctx: Context) -> Times:
        first = time.time_ns()
        if self.seconds:
            time.sleep(self.seconds)
        return Times(first_ns=first, last_ns=time.time_ns())


class AsyncClock(Job[Times], kind="bench.async-clock"):
    async def run(self, _ctx: AsyncContext) -> Times:
        return Times(first_ns=time.time_ns(), last_ns=time.time_ns())


class NoOp(Job[None], kind="bench.no-op"):
    def run(self, _ctx: Context) -> None:
        return None


class AsyncNoOp(Job[None], kind="bench.async-no-op"):
    async def run(self, _ctx: AsyncContext) -> None:
        return None


class Spin(Job[Never, Going], kind="bench.spin"):
    """Pure Python without end."""

    def run(self, ctx: Context[Going]) -> NoReturn:
        ctx.report(Going(pids=[]))
        while True:
            pass


class Stuck(Job[Never, Going], kind="bench.stuck"):
    """C code without end, which keeps the interpreter's lock and looks at no signal."""

    def run(self, ctx: Context[Going]) -> NoReturn:
        ctx.report(Going(pids=[os.getpid()]))
        deque(itertools.repeat(0), maxlen=0)
        raise AssertionError("an endless iterator has ended")


class Film(Job[Never, Going], kind="bench.film"):
    """An ffmpeg without end."""

    def run(self, ctx: Context[Going]) -> NoReturn:
        picture = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-threads", "1")
        argv = [find_ffmpeg(), "-nostdin", "-v", "error", "-re", *picture, "-progress", "pipe:1", "-f", "null", "-"]
        with ctx.program(argv) as lines:
            next(lines)
            ctx.report(Going(pids=[child.pid for child in psutil.Process().children(recursive=True)]))
            for _ in lines:
                pass
        raise AssertionError("an endless film has ended")


class Brood(Job[Never, Going], kind="bench.brood"):
    """Starts processes that it does not wait for, one of which flees into a session of its own; then hangs as told."""

    way: Way

    def run(self, ctx: Context[Going]) -> NoReturn:
        near = subprocess.Popen(["sleep", "1000"])
        far = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        ctx.report(Going(pids=[near.pid, far.pid]))
        if self.way == "stuck":
            deque(itertools.repeat(0), maxlen=0)
        while True:
            time.sleep(1.0 if self.way == "sleep" else 0.0)


class Gated(Job[None, Going], kind="bench.gated"):
    """Runs a child program until a file appears, then adds a line to another."""

    gate: str
    done: str

    config = JobConfig(backoff=0, cpus=0.1)

    def run(self, ctx: Context[Going]) -> None:
        far = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        ctx.report(Going(pids=[far.pid]))
        with ctx.program(["sh", "-c", 'until [ -e "$0" ]; do sleep 0.05; done', self.gate]) as lines:
            for _ in lines:
                pass
        far.kill()
        far.wait()
        with Path(self.done).open("a", encoding="ascii") as file:
            file.write(f"{ctx.job_id}\n")


class Revived(Job[None], kind="bench.revived"):
    """Adds to a file when it began, and with which claim; then waits for another file."""

    begun: str
    gate: str

    config = JobConfig(backoff=0, cpus=0.1)

    def run(self, ctx: Context) -> None:
        with Path(self.begun).open("a", encoding="ascii") as file:
            file.write(f"{ctx.claim.number} {time.time_ns()}\n")
        while not Path(self.gate).exists():
            time.sleep(0.05)


class Lines(Job[None], kind="bench.lines"):
    """A flood of numbered lines: printed by Python, or written by a child program straight to the descriptor."""

    count: int
    way: Literal["print", "child"]

    def run(self, _ctx: Context) -> None:
        if self.way == "print":
            for number in range(1, self.count + 1):
                print(number)
        else:
            subprocess.run(["seq", str(self.count)], check=True, stdout=sys.stdout.fileno())
