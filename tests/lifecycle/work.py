"""Job types that the tests run: each does one thing that a job may do, good or bad. Workers import this module."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import asyncio
import ctypes
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from loguru import logger
from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig
from heavyjobs.children import Child
from heavyjobs.errors import CancelRequested
from heavyjobs.model import Cancelled, Dead, Succeeded

QUICK = JobConfig(attempts=3, backoff="20ms", grace="300ms")
"""Tried again at once, stopped at once."""


class Counted(BaseModel):
    total: int


class Counting(BaseModel):
    done: int


class Refused(BaseModel):
    reason: str


class Count(Job[Counted, Counting], kind="tests.count"):
    """Says something in every way, shows its status, and returns a result."""

    upto: int = 3
    config = QUICK

    def run(self, ctx: Context[Counting]) -> Counted:
        print("printed")
        logging.getLogger("tests").warning("logged")
        logger.info("loguru says")
        subprocess.run(["echo", "echoed"], check=True)
        os.write(2, b"raw words\n")
        for done in range(1, self.upto + 1):
            ctx.report(Counting(done=done))
        return Counted(total=self.upto)


class Note(Job[None], kind="tests.note"):
    """Adds a line to a file: what ran, and how often."""

    path: Path
    text: str = "ran"
    config = QUICK

    def run(self, ctx: Context) -> None:
        note(self.path, f"{self.text} {ctx.attempt}")


class Flaky(Job[int], kind="tests.flaky"):
    """Fails until its attempt number is reached, in the way that it is told."""

    good_from: int
    how: str = "raise"
    config = QUICK

    def run(self, ctx: Context) -> int:
        print(f"attempt {ctx.attempt}")
        if ctx.attempt < self.good_from:
            fail_by(self.how)
        return ctx.attempt


class Refuse(Job[None, Any, Refused], kind="tests.refuse"):
    """Fails with its own error."""

    retry: bool
    config = QUICK

    def run(self, ctx: Context[Any, Refused]) -> None:
        ctx.fail(Refused(reason=f"attempt {ctx.attempt}"), retry=self.retry)


class Nap(Job[str], kind="tests.nap"):
    """Says `napping`, and sleeps in the way that it is told until a file is there or the time has passed."""

    seconds: float = 60.0
    until: Path | None = None
    how: str = "sleep"
    config = QUICK

    def run(self, ctx: Context) -> str:
        print("napping", flush=True)
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not (self.until and self.until.exists()):
            nap_by(self.how)
        return "rested"


class LongNap(Nap, kind="tests.long_nap"):
    """A nap that may take its time to end when it is asked to."""

    config = JobConfig(attempts=3, backoff="20ms", grace="30s")

    def run(self, ctx: Context) -> str:
        try:
            return super().run(ctx)
        except CancelRequested:
            print("cleaning up", flush=True)
            while True:
                time.sleep(0.05)


class Timed(Nap, kind="tests.timed"):
    config = JobConfig(attempts=2, backoff="20ms", grace="200ms", timeout="300ms")


class Greedy(Job[None], kind="tests.greedy"):
    """Takes more memory than it may: in its own process, or in a child program's."""

    in_child: bool
    config = JobConfig(attempts=1, memory="300MiB", grace="200ms")

    def run(self, ctx: Context) -> None:
        code = "import time; data = bytearray(250 << 20); data[::4096] = bytes(len(data[::4096])); time.sleep(60)"
        if self.in_child:
            with ctx.program([sys.executable, "-c", code]), ctx.program([sys.executable, "-c", code]) as lines:
                list(lines)
        else:
            bytearray(1 << 30)


class Steps(Job[list[int]], kind="tests.steps"):
    """Goes on from its checkpoint; its worker dies once, after the second of four steps."""

    path: Path
    config = QUICK

    def run(self, ctx: Context) -> list[int]:
        resumed = ctx.resume(Counting)
        for step in range(resumed.done if resumed else 0, 4):
            note(self.path, str(step))
            ctx.checkpoint(Counting(done=step + 1))
            if step == 1 and ctx.attempt == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        return [int(line) for line in self.path.read_text().split()]


class LastStep(Job[str], kind="tests.last_step"):
    """Keeps a checkpoint and fails until a file is there."""

    until: Path
    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> str:
        resumed = ctx.resume(Counting)
        ctx.checkpoint(Counting(done=7))
        if not self.until.exists():
            raise ValueError("broken")
        return f"resumed from {resumed.done}" if resumed else "from the start"


class Film(Job[None], kind="tests.film"):
    """Runs child programs, one of them in a session of its own, until a file is there; then notes that it was done."""

    path: Path
    number: int
    until: Path
    config = JobConfig(attempts=3, backoff="20ms", grace="300ms", cpus=0.1)

    def run(self, ctx: Context) -> None:
        with ctx.program(["sh", "-c", "sleep 300 & sleep 300 & echo filming; wait"]) as lines:
            subprocess.Popen(["sleep", "300"], start_new_session=True)
            print(next(lines), flush=True)  # once all of them are there, for tests count them
            while not self.until.exists():
                time.sleep(0.02)
        note(self.path, str(self.number))


class Chatty(Job[None], kind="tests.chatty"):
    """Says many numbered lines."""

    lines: int
    raw: bool = False
    config = QUICK

    def run(self, ctx: Context) -> None:
        if self.raw:
            subprocess.run(["seq", "-f", "line %.0f", "0", str(self.lines - 1)], check=True)
        else:
            for number in range(self.lines):
                print(f"line {number}")


class Ticker(Job[int], kind="tests.ticker"):
    """Says a numbered line now and then, and notes it in a file, until another file is there; how many there were."""

    until: Path
    ticks: Path
    config = QUICK

    def run(self, ctx: Context) -> int:
        for number in itertools.count():
            print(f"tick {number}")
            note(self.ticks, str(number))
            if self.until.exists():
                return number + 1
            time.sleep(0.02)
        raise AssertionError("it counts for ever")


class Burn(Job[None], kind="tests.burn"):
    """Computes and writes until a file is there, then its process ends by itself."""

    until: Path
    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> None:
        with (ctx.workspace / "ashes").open("wb") as ashes:
            while not self.until.exists():
                ashes.write(bytes(sum(range(100_000)) % 7 + 100_000))
        os._exit(3)


class Area(Job[int], kind="tests.area", version=2):
    """In version 1 it had one side."""

    width: int
    height: int
    config = QUICK

    @classmethod
    def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"width": data["side"], "height": data["side"]} if version == 1 else data

    def run(self, ctx: Context) -> int:
        return self.width * self.height


# -- families


class Square(Job[int], kind="tests.square"):
    number: int
    config = QUICK

    def run(self, ctx: Context) -> int:
        return self.number * self.number


class Nest(Job[int], kind="tests.nest"):
    """Spawns itself until it is `levels` deep, then counts back."""

    levels: int
    config = QUICK

    def run(self, ctx: Context) -> int:
        if self.levels == 0:
            return 0
        (below,) = ctx.gather([Nest(levels=self.levels - 1)])
        return below + 1


class Family(Job[int], kind="tests.family"):
    """Sums squares of children; may die once after it has spawned them."""

    numbers: list[int]
    dies: bool = False
    config = QUICK

    def run(self, ctx: Context) -> int:
        children = [ctx.spawn(Square(number=number), key=f"square {number}") for number in self.numbers]
        if self.dies and ctx.attempt == 1:
            os._exit(3)
        return sum(ctx.gather(children))


class AsyncFamily(Job[int], kind="tests.async_family"):
    numbers: list[int]
    config = QUICK

    async def run(self, ctx: AsyncContext) -> int:
        return sum(await ctx.gather([Square(number=number) for number in self.numbers]))


class TwoKeys(Job[None], kind="tests.two_keys"):
    """Uses one key for two different children."""

    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> None:
        ctx.spawn(Square(number=1), key="same")
        ctx.spawn(Square(number=2), key="same")


class MixedFamily(Job[list[str]], kind="tests.mixed_family"):
    """Says how its children ended."""

    gather: bool
    config = JobConfig(attempts=1, grace="300ms")

    def run(self, ctx: Context) -> list[str]:
        children: list[Child[Any, Any]] = [ctx.spawn(Refuse(retry=False)), ctx.spawn(Nap(seconds=60 if self.gather else 0))]
        if self.gather:
            ctx.gather(children)
        return [name_of(outcome) for outcome in ctx.outcomes(children)]


class Echo(Job[str], kind="tests.echo"):
    text: str
    times: int = 1
    config = QUICK

    def run(self, ctx: Context) -> str:
        return self.text * self.times


class Crowd(Job[int], kind="tests.crowd"):
    """Gathers many children, or children with much to say; how many characters came back."""

    children: int
    text: str
    times: int = 1
    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> int:
        return sum(map(len, ctx.gather([Echo(text=self.text, times=self.times) for _ in range(self.children)])))


class OddKey(Job[None], kind="tests.odd_key"):
    """Gives its child a name that no database can hold, or that is too long for an index."""

    how: str
    config = QUICK

    def run(self, ctx: Context) -> None:
        ctx.spawn(Square(number=1), key={"nul": "a\0b", "long": "x" * 9_000}[self.how])


class Patient(Job[str], kind="tests.patient"):
    """Has little time of its own, and a child that takes more."""

    until: Path
    config = JobConfig(attempts=1, grace="2s", timeout="2s")

    def run(self, ctx: Context) -> str:
        (rested,) = ctx.gather([Nap(until=self.until, how="aloud")])
        return rested


class Waits(Job[None], kind="tests.waits"):
    """A parent that waits for a child that naps."""

    config = JobConfig(attempts=1, grace="2s")

    def run(self, ctx: Context) -> None:
        ctx.gather([Nap(seconds=60)])


class Unserved(Job[None], kind="tests.unserved"):
    """Lies in a queue that nobody serves."""

    config = JobConfig(queue="nobody's")

    def run(self, ctx: Context) -> None:
        raise AssertionError("nobody serves it")


class Household(Job[None], kind="tests.household"):
    """A parent with a child that has ended, one that naps, and one that waits for its turn."""

    config = JobConfig(attempts=1, grace="2s")

    def run(self, ctx: Context) -> None:
        ctx.gather([Square(number=2)])
        ctx.spawn(Unserved())
        ctx.outcomes([Nap()])


# -- the lane


class AsyncNap(Job[str, Counting], kind="tests.async_nap"):
    seconds: float = 60.0
    until: Path | None = None
    config = QUICK

    async def run(self, ctx: AsyncContext[Counting]) -> str:
        logger.info("napping")
        logger.info(os.getpid())
        ctx.report(Counting(done=ctx.attempt))
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not (self.until and self.until.exists()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return "rested"


class Yes(Job[None], kind="tests.yes"):
    """A program writes for ever to the descriptor that all on the lane share."""

    config = QUICK

    async def run(self, ctx: AsyncContext) -> None:
        logger.info("yes")
        process = await asyncio.create_subprocess_exec("yes")
        try:
            await process.wait()
        finally:
            process.kill()


class Block(Job[str], kind="tests.block"):
    """Blocks the loop of the lane at its first attempt: in Python, or holding the interpreter's lock."""

    how: str
    config = JobConfig(attempts=2, backoff="20ms", grace="200ms")

    async def run(self, ctx: AsyncContext) -> str:
        if ctx.attempt > 1:
            return "let go"
        while True:
            nap_by(self.how)


class LetsACancelOut(Job[None], kind="tests.lets_a_cancel_out"):
    """Awaits a task that it has cancelled itself: nobody has asked it to stop."""

    config = JobConfig(attempts=2, backoff="20ms")

    async def run(self, ctx: AsyncContext) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task


class CancelsItself(Job[None], kind="tests.cancels_itself"):
    """Looks from without as if a neighbour had cancelled all tasks."""

    config = JobConfig(attempts=2, backoff="20ms")

    async def run(self, ctx: AsyncContext) -> None:
        own = asyncio.current_task()
        assert own
        own.cancel()
        await asyncio.sleep(60)


class AsyncCrash(Job[None], kind="tests.async_crash"):
    """Takes the lane down, at every attempt."""

    config = JobConfig(attempts=2, backoff="20ms")

    async def run(self, ctx: AsyncContext) -> None:
        await asyncio.sleep(0.05)
        os._exit(7)


class ParentOfCrash(Job[None], kind="tests.parent_of_crash"):
    """Waits on the lane for a child that takes it down."""

    config = JobConfig(attempts=1)

    async def run(self, ctx: AsyncContext) -> None:
        await ctx.gather([AsyncCrash()])


# -- what these are made of


def note(path: Path, text: str) -> None:
    """Add a line to a file, whole however many do."""
    with path.open("a") as file:
        file.write(f"{text}\n")


def fail_by(how: str) -> None:
    match how:
        case "raise":
            raise ValueError("not yet")
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case _:
            raise AssertionError(how)


def nap_by(how: str) -> None:
    match how:
        case "sleep":
            time.sleep(0.02)
        case "aloud":
            time.sleep(1)
            print("still napping", flush=True)
        case "spin":
            for _ in range(100_000):
                pass
        case "stubborn":
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001 - that is the point
                print("swallowed it", flush=True)
        case "lock":
            deque(itertools.repeat(None), maxlen=0)  # C code that never lets go of the interpreter
        case _:
            raise AssertionError(how)


def name_of(outcome: Succeeded[Any] | Dead[Any] | Cancelled) -> str:
    match outcome:
        case Succeeded(result):
            return f"succeeded: {result}"
        case Dead(error, _):
            return f"dead: {error}"
        case Cancelled():
            return "cancelled"


class KillsTheForkServer(Job[None], kind="tests.kills_the_fork_server"):
    """Kills the process that all workers of its host come from, the first time."""

    config = QUICK

    def run(self, ctx: Context) -> None:
        if ctx.claim.number == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)


class StopsTheForkServer(Job[None], kind="tests.stops_the_fork_server"):
    """Stops the process that all workers of its host come from, and dies; the first time."""

    config = QUICK

    def run(self, ctx: Context) -> None:
        if ctx.claim.number == 1:
            os.kill(os.getppid(), signal.SIGSTOP)
            os._exit(1)


class StopsItself(Nap, kind="tests.stops_itself"):
    """Stops its own process, once it has said which that is; naps when it is continued."""

    def run(self, ctx: Context) -> str:
        print(os.getpid(), flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return super().run(ctx)


class StopsTheLoop(Job[None], kind="tests.stops_the_loop"):
    """Stops the loop of the lane, the first time."""

    config = QUICK

    async def run(self, ctx: AsyncContext) -> None:
        if ctx.claim.number == 1:
            asyncio.get_running_loop().stop()
            await asyncio.sleep(60)
