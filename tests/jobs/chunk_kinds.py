"""The kinds of chunks with short intervals, for tests that kill their workers. Workers import this module."""

from __future__ import annotations

import os
import signal
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

INTERVAL_BYTES = 2 << 20
PATIENT = JobConfig(attempts=100, backoff="10ms", backoff_max="10ms")


class SplitOften(Split, kind="tests.split"):
    pid_file: str
    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Stored:
        Path(self.pid_file).write_text(f"{os.getpid()}", "ascii")
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
    pid_file: str
    config = PATIENT
    interval_bytes: ClassVar[int] = INTERVAL_BYTES

    def run(self, ctx: Context[Progress, Trouble]) -> Joined:
        Path(self.pid_file).write_text(f"{os.getpid()}", "ascii")
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
