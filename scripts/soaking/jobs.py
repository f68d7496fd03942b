"""What the soak runs: jobs that do well or badly in every way there is, each knowing how it has to end.

`should` is a function of the parameters alone: whatever happens to the hosts, that is what the job's row has to say (or that it
was cancelled, if somebody asked for it). Jobs that are to succeed have so many attempts that faults cannot use them up.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias

from loguru import logger
from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig, JobState
from soaking.witness import BEATING_PROGRAM, Witness, path, witnessed, witnessed_async

GOOD: Final = JobConfig(attempts=200, backoff="20ms", backoff_max="200ms", grace="300ms", cpus=0.1)
"""To be tried until it succeeds."""

BAD: Final = JobConfig(attempts=3, backoff="20ms", backoff_max="200ms", grace="300ms", cpus=0.1)
"""To be dead after three attempts."""

Way: TypeAlias = Literal["raise", "exit", "kill", "segfault"]
WAYS: Final[Sequence[Way]] = ("raise", "exit", "kill", "segfault")


class Done(BaseModel):
    """Status and checkpoint: so many steps are done."""

    steps: int


class Refused(BaseModel):
    number: int


@dataclass(frozen=True, slots=True)
class Should:
    """How a job has to end; `error` is the number that its own error carries."""

    state: JobState
    result: int | None = None
    error: int | None = None


class Soaked(Job[int, Done, Refused]):
    """What all have: a number that the result is made from, and how many numbered lines each try says.

    A child is a job like any other.
    """

    number: int
    lines: int = 0
    seconds: float = 0.0
    config = GOOD

    def should(self) -> Should:
        return Should(JobState.SUCCEEDED, result=2 * self.number + 1)

    def say(self) -> None:
        for number in range(self.lines):
            print(f"line {number}")


DEAD: Final = Should(JobState.DEAD)


class Quick(Soaked, kind="soak.quick"):
    """Says its lines through Python, or through a child program straight to the descriptor."""

    raw: bool = False

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx):
            ctx.report(Done(steps=self.number))
            if self.raw and self.lines:
                subprocess.run(["seq", "-f", "line %.0f", "0", str(self.lines - 1)], check=True)
            else:
                self.say()
            time.sleep(self.seconds)
            return 2 * self.number + 1


class Waits(Soaked, kind="soak.waits"):
    """On the lane."""

    async def run(self, ctx: AsyncContext[Done, Refused]) -> int:
        async with witnessed_async(ctx):
            for number in range(self.lines):
                logger.info("line {}", number)
            ctx.report(Done(steps=self.number))
            await asyncio.sleep(self.seconds)
            return 2 * self.number + 1


class Steps(Soaked, kind="soak.steps"):
    """Goes on from its checkpoint; notes what it has kept, and what it was given back."""

    steps: int

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx) as witness:
            resumed = ctx.resume(Done)
            witness.note("resumed", resumed.steps if resumed else 0)
            for step in range(resumed.steps if resumed else 0, self.steps):
                time.sleep(self.seconds)
                ctx.checkpoint(Done(steps=step + 1))
                witness.note("kept", step + 1)
                ctx.report(Done(steps=step + 1))
            self.say()
            return 2 * self.number + 1


class Refuses(Soaked, kind="soak.refuses"):
    """Fails with its own error: always and for good, or until some attempt."""

    good_from: int | None

    def should(self) -> Should:
        return Should(JobState.DEAD, error=self.number) if self.good_from is None else super().should()

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx):
            self.say()
            if self.good_from is None or ctx.attempt < self.good_from:
                ctx.fail(Refused(number=self.number), retry=self.good_from is not None)
            return 2 * self.number + 1


class Breaks(Soaked, kind="soak.breaks"):
    """Ends badly until some attempt, with its process or without."""

    way: Way
    good_from: int

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx):
            self.say()
            time.sleep(self.seconds)
            if ctx.attempt < self.good_from:
                end_by(self.way)
            return 2 * self.number + 1


class Poison(Soaked, kind="soak.poison"):
    """Ends badly at every attempt."""

    way: Way
    config = BAD

    def should(self) -> Should:
        return DEAD

    def run(self, ctx: Context[Done, Refused]) -> NoReturn:
        with witnessed(ctx):
            self.say()
            end_by(self.way)


class LanePoison(Soaked, kind="soak.lane-poison"):
    """Takes the lane down at every attempt."""

    config = JobConfig(attempts=2, backoff="20ms", grace="300ms")

    def should(self) -> Should:
        return DEAD

    async def run(self, ctx: AsyncContext[Done, Refused]) -> NoReturn:
        async with witnessed_async(ctx):
            await asyncio.sleep(self.seconds)
            os._exit(7)


class LaneBlock(Soaked, kind="soak.lane-block"):
    """Holds up all others on the lane, at its first attempt."""

    config = JobConfig(attempts=200, backoff="20ms", grace="200ms")

    async def run(self, ctx: AsyncContext[Done, Refused]) -> int:
        async with witnessed_async(ctx):
            if ctx.attempt == 1:
                time.sleep(60)  # noqa: ASYNC251 - that is the point
            return 2 * self.number + 1


class Stubborn(Soaked, kind="soak.stubborn"):
    """Takes no notice of a request to stop, and too much time: asleep, or computing."""

    spins: bool
    config = JobConfig(attempts=2, backoff="20ms", grace="200ms", timeout="500ms", cpus=0.1)

    def should(self) -> Should:
        return DEAD

    def run(self, ctx: Context[Done, Refused]) -> NoReturn:
        with witnessed(ctx):
            while True:
                try:
                    self.idle()
                except BaseException:  # noqa: BLE001 - that is the point
                    print("swallowed it", flush=True)

    def idle(self) -> None:
        if self.spins:
            sum(range(1_000_000))
        else:
            time.sleep(5)


class Greedy(Soaked, kind="soak.greedy"):
    """Takes more memory than it may: in its own process, or in a child program's."""

    in_child: bool
    config = JobConfig(attempts=2, memory="200MiB", backoff="20ms", grace="200ms", cpus=0.1)

    def should(self) -> Should:
        return DEAD

    def run(self, ctx: Context[Done, Refused]) -> NoReturn:
        code = "import time; data = bytearray(180 << 20); data[::4096] = bytes(len(data[::4096])); time.sleep(60)"
        with witnessed(ctx):
            if self.in_child:
                with ctx.program([sys.executable, "-S", "-c", code]), ctx.program([sys.executable, "-S", "-c", code]) as lines:
                    list(lines)
            bytearray(1 << 30)
            raise AssertionError("so much memory was not to be had")


class Film(Soaked, kind="soak.film"):
    """Runs a child program beside one that has fled into a session of its own; both bear witness too, and so has it to end."""

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx) as witness:
            self.say()
            scratch = ctx.workspace / "reel"
            scratch.write_bytes(bytes(1000))
            far = subprocess.Popen(self._beating(witness), start_new_session=True, stdin=subprocess.DEVNULL)
            with ctx.program(["sh", "-c", f"sleep 300 & echo filming; exec sleep {self.seconds}"]) as lines:
                assert [*lines] == ["filming"], "the child program said something else"  # noqa: S101
            if self.number % 2:
                far.kill()
                far.wait()
            return 2 * self.number + 1

    def _beating(self, witness: Witness) -> list[str]:
        return ["sh", "-c", BEATING_PROGRAM, "sh", path(), str(witness.claim.job), str(witness.claim.number)]


class Writes(Soaked, kind="soak.writes"):
    """Publishes a file that says which claim wrote it."""

    target: Path

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx), ctx.output(self.target, replace=True) as out, out.path.open("w") as file:
            file.write(f"{self.number} {ctx.claim.number}\n")
            for number in range(1000):
                file.write(f"line {number}\n")
            file.flush()
            time.sleep(self.seconds)
            file.write("whole\n")
        return 2 * self.number + 1


# -- families


class Family(Soaked, kind="soak.family"):
    """Sums what its children give; they are families too, down to the last level."""

    width: int
    levels: int
    config = GOOD

    def children(self) -> Sequence[Soaked]:
        return children_of(self.number, width=self.width, levels=self.levels, seconds=self.seconds)

    def should(self) -> Should:
        return sum_of(self.children())

    def run(self, ctx: Context[Done, Refused]) -> int:
        with witnessed(ctx):
            self.say()
            return sum(ctx.gather(self.children()))


class AsyncFamily(Soaked, kind="soak.async-family"):
    """The same on the lane."""

    width: int
    levels: int

    def children(self) -> Sequence[Soaked]:
        return children_of(self.number, width=self.width, levels=self.levels, seconds=self.seconds)

    def should(self) -> Should:
        return sum_of(self.children())

    async def run(self, ctx: AsyncContext[Done, Refused]) -> int:
        async with witnessed_async(ctx):
            return sum(await ctx.gather(self.children()))


def children_of(number: int, *, width: int, levels: int, seconds: float) -> Sequence[Soaked]:
    numbers = [number * 10 + at for at in range(width)]
    if levels > 1:
        return [
            Family(number=each, width=width, levels=levels - 1, seconds=seconds)
            if each % 2
            else AsyncFamily(number=each, width=width, levels=levels - 1, seconds=seconds)
            for each in numbers
        ]
    return [
        Breaks(number=each, seconds=seconds, way="kill", good_from=2) if each % 5 == 3 else Quick(number=each, seconds=seconds)
        for each in numbers
    ]


def sum_of(children: Sequence[Soaked]) -> Should:
    return Should(JobState.SUCCEEDED, result=sum(child.should().result or 0 for child in children))


# -- what these are made of


def end_by(way: Way) -> NoReturn:
    match way:
        case "exit":
            sys.stdout.flush()
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "raise":
            pass
    raise ValueError("not now")
