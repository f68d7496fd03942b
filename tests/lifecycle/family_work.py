"""Jobs that look after their children, and hear why they are to stop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from loguru import logger
from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig


class Step(BaseModel):
    done: int


class Stepping(Job[int, Step], kind="tests.stepping"):
    """Reports a number until a file is there."""

    number: int
    until: Path

    def run(self, ctx: Context[Step]) -> int:
        if self.number:
            ctx.report(Step(done=self.number))
        while not self.until.exists():
            time.sleep(0.01)
        return self.number


class Watching(Job[list[int | None]], kind="tests.watching"):
    """Looks at its children's statuses until two of three have one; then lets them go."""

    until: Path

    async def run(self, ctx: AsyncContext) -> list[int | None]:
        children = [await ctx.spawn(Stepping(number=number, until=self.until), key=str(number)) for number in range(3)]
        seen: list[int | None] = []
        while seen[1:] != [1, 2]:
            seen = [status and status.done for status in await ctx.statuses(children)]
            await asyncio.sleep(0.02)
        self.until.touch()
        await ctx.gather(children)
        return seen


class WatchingAside(Job[list[int | None]], kind="tests.watching_aside"):
    """The same, for a job that is no coroutine."""

    until: Path

    def run(self, ctx: Context) -> list[int | None]:
        children = [ctx.spawn(Stepping(number=number, until=self.until), key=str(number)) for number in range(3)]
        seen: list[int | None] = []
        while seen[1:] != [1, 2]:
            seen = [status and status.done for status in ctx.statuses(children)]
            time.sleep(0.02)
        self.until.touch()
        ctx.gather(children)
        return seen


class HearsWhy(Job[None], kind="tests.hears_why"):
    """Notes why it was asked to stop."""

    path: Path

    config = JobConfig(attempts=3)

    async def run(self, ctx: AsyncContext) -> None:
        logger.info("waiting")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as stop:
            with self.path.open("a") as file:
                file.write(f"{stop}\n")
            raise
