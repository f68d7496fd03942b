"""Job types that leave something beside their target when they are stopped or killed. Workers import this module."""

# ruff: noqa: T201, ASYNC110 - jobs print, and look for a file

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from heavyjobs import AsyncContext, Context, Job, JobConfig
from heavyjobs.errors import CancelRequested

PATIENT = JobConfig(attempts=3, backoff="20ms", grace="60s")


class Half(Job[str], kind="tests.half"):
    """Writes half of an output that another run could go on with; asked to stop, it holds on until `until` is there."""

    target: Path
    until: Path
    config = PATIENT

    def run(self, ctx: Context) -> str:
        with ctx.output(self.target, resume=True) as out:
            write_half(out.path)
            try:
                time.sleep(600)
            except CancelRequested:
                print("cleaning up")
                while not self.until.exists():
                    time.sleep(0.01)
                raise
        return "whole"


class AsyncHalf(Job[str], kind="tests.async-half"):
    target: Path
    until: Path
    config = PATIENT

    async def run(self, ctx: AsyncContext) -> str:
        async with ctx.output(self.target, resume=True) as out:
            write_half(out.path)
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                print("cleaning up")
                while not self.until.exists():
                    await asyncio.sleep(0.01)
                raise
        return "whole"


def write_half(path: Path) -> None:
    path.write_text("half")
    print("half is written")


class Dying(Job[None], kind="tests.dying"):
    """Is killed in the middle of its output, and tried again in an hour."""

    target: Path
    config = JobConfig(attempts=3, backoff="1h", backoff_max="1h")

    def run(self, ctx: Context) -> None:
        with ctx.output(self.target) as out:
            out.path.mkdir()
            write_half(out.path / "half")
            os.kill(os.getpid(), signal.SIGKILL)


class Whole(Job[None], kind="tests.whole"):
    """Writes all of its output."""

    target: Path
    config = PATIENT

    def run(self, ctx: Context) -> None:
        with ctx.output(self.target) as out:
            out.path.write_text("whole")


class AsyncWhole(Job[None], kind="tests.async-whole"):
    target: Path
    config = PATIENT

    async def run(self, ctx: AsyncContext) -> None:
        async with ctx.output(self.target) as out:
            out.path.write_text("whole")
