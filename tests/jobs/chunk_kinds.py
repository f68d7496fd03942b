"""The kinds of chunks with short intervals, for tests that kill their workers. Workers import this module."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from loguru import logger
from pydantic import BaseModel

from heavyjobs import Context, JobConfig
from heavyjobs.jobs import Join, Progress, Split, VerifyChunks
from heavyjobs.jobs.chunks.join import Joined
from heavyjobs.jobs.chunks.split import Stored
from heavyjobs.jobs.chunks.verify import Verified
from heavyjobs.jobs.trouble import Trouble
from tests.lifecycle.work import note

INTERVAL_BYTES = 2 << 20
PATIENT = JobConfig(attempts=100, backoff="10ms", backoff_max="10ms")


class SplitOften(Split, kind="tests.split"):
    """Dies as `dying` says."""

    die_at: list[int]
    deaths: Path
    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Stored:
        with dying(ctx.claim.number, self.die_at, partial(written, Path(self.chunks)), deaths=self.deaths):
            return super().run(ctx)


class SplitAndWait(Split, kind="tests.split_and_wait"):
    """Its first attempt says so after its first checkpoint, and waits to be stopped."""

    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Stored:
        keep = ctx.checkpoint

        def keep_and_wait(model: BaseModel) -> None:
            keep(model)
            logger.info("waiting")
            signal.pause()

        if ctx.attempt == 1 and ctx.claim.number == 1:
            ctx.checkpoint = keep_and_wait  # type: ignore[method-assign]  # a moment that is known
        return super().run(ctx)


class JoinOften(Join, kind="tests.join"):
    """Dies as `dying` says."""

    die_at: list[int]
    deaths: Path
    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Joined:
        with dying(ctx.claim.number, self.die_at, partial(part_size, Path(self.target).parent), deaths=self.deaths):
            return super().run(ctx)


class VerifyAndDie(VerifyChunks, kind="tests.verify"):
    """Its first attempt dies right after its first checkpoint."""

    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Verified:
        keep = ctx.checkpoint

        def keep_and_die(model: BaseModel) -> None:
            keep(model)
            os.kill(os.getpid(), signal.SIGKILL)

        if ctx.attempt == 1:
            ctx.checkpoint = keep_and_die  # type: ignore[method-assign]  # a death at a moment that is known
        return super().run(ctx)


@contextmanager
def dying(claim: int, die_at: Sequence[int], done: Callable[[], int], *, deaths: Path) -> Generator[None]:
    """Kill this process, wherever it is, once so much is done as is meant for this claim; the claims after the last end well.

    Args:
        deaths: gets a line for each death: how much was done by then.
    """
    if claim > 1:
        note(deaths, str(done()))
    if claim > len(die_at):
        yield
        return
    alive, over = threading.Lock(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            if done() >= die_at[claim - 1]:
                with alive:
                    if not over.is_set():
                        os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.03)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        with alive:
            over.set()
        watching.join()


def written(folder: Path) -> int:
    """The bytes of all chunks in a folder, and of those on their way into it."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size if len(name) == 64 else 0
    return total


def part_size(folder: Path) -> int:
    """Of an output that is not finished."""
    for path in folder.glob(".*.part.*"):
        with suppress(FileNotFoundError):
            return path.stat().st_size
    return 0
