"""What invocations write down themselves, past the database: one line each when they begin, while they live, when they end.

All lines of a soak stand in one file, each written by one `write` to its end, with the time since boot (CLOCK_BOOTTIME), which
all processes of a machine share. What a killed invocation did last is its last beat, so an interval is never said to be longer
than it was.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from heavyjobs import AsyncContext, Context
from heavyjobs.model import ClaimKey

PATH: Final = "HEAVYJOBS_SOAK_WITNESS"
"""The variable that says where the file is."""

BEAT_SECONDS: Final = 0.1

BEATING_PROGRAM: Final = """
while sleep 0.2; do read -r up rest </proc/uptime; echo "$up $$ $2 $3 beat" >>"$1"; done
"""
"""For `sh -c`: the arguments are the file, the job and the claim."""


def now() -> float:
    """Seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def written_in(folder: Path) -> Generator[None]:
    """Have all processes that are started in the block write there."""
    os.environ[PATH] = str(folder / "witness")
    try:
        yield
    finally:
        del os.environ[PATH]


def path() -> str:
    return os.environ[PATH]


def lanes() -> Path:
    """A folder with an empty file for each process that has run as a lane, named after its number."""
    return Path(path() + ".lanes")


# -- in the worker


class Witness:
    """One invocation's pen."""

    def __init__(self, claim: ClaimKey) -> None:
        self.claim: Final = claim
        self._file: Final = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, *words: object) -> None:
        line = f"{now():.6f} {os.getpid()} {self.claim.job} {self.claim.number} {' '.join(map(str, words))}\n"
        os.write(self._file, line.encode())

    def close(self) -> None:
        os.close(self._file)


@contextmanager
def witnessed(ctx: Context[Any, Any]) -> Generator[Witness]:
    """Note that a `def run` lives, for the length of the block."""
    witness = Witness(ctx.claim)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            witness.note("beat")

    beating = threading.Thread(target=beat, daemon=True)
    witness.note("begin", ctx.attempt)
    beating.start()
    try:
        yield witness
    finally:
        # A request to stop must not leave the thread behind: it would say that the invocation lives.
        with ctx.shielded():
            over.set()
            beating.join()
            witness.note("end")
            witness.close()


@asynccontextmanager
async def witnessed_async(ctx: AsyncContext[Any, Any]) -> AsyncGenerator[Witness]:
    """The same on the lane."""
    witness = Witness(ctx.claim)

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            witness.note("beat")

    (lanes() / str(os.getpid())).touch()
    witness.note("begin", ctx.attempt)
    beating = asyncio.create_task(beat())
    try:
        yield witness
    finally:
        beating.cancel()
        witness.note("end")
        witness.close()


# -- for the judge


@dataclass(slots=True)
class Seen:
    """One invocation, as it was witnessed: seconds since boot.

    Attributes:
        last: when anything of it was last known to live.
        notes: what else it said of itself, as (word, number).
    """

    claim: ClaimKey
    began: float
    last: float
    ended: bool = False
    notes: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])


def read(file: Path) -> dict[ClaimKey, Seen]:
    """All invocations that were witnessed."""
    if not file.exists():
        return {}
    with file.open("rb") as lines:
        return gather(line.decode("ascii", "replace") for line in lines)


def gather(lines: Iterable[str]) -> dict[ClaimKey, Seen]:
    seen: dict[ClaimKey, Seen] = {}
    for line in lines:
        at, _, job, number, word, *rest = line.split()
        claim, time = ClaimKey(UUID(job), int(number)), float(at)
        one = seen.setdefault(claim, Seen(claim, time, time))
        one.began, one.last = min(one.began, time), max(one.last, time)
        if word == "end":
            one.ended = True
        elif word != "beat":
            one.notes.append((word, int(rest[0]) if rest else 0))
    return seen
