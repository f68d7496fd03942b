"""Job types for faults of processes: each does one thing that no job should do. Workers import this module."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Final, Literal, TypeAlias

from heavyjobs import Context, Job, JobConfig
from tests.lifecycle.work import Counting, Square, note

WORK: Final = "tests.faults.work"

Act: TypeAlias = Literal["publish", "checkpoint", "spawn", "return"]
"""What a job does that was taken from its coordinator."""


class Zombie(Job[str, Counting], kind="faults.zombie"):
    """Speaks and reports at its first attempt until a file is there, and then acts; at the second it acts at once."""

    act: Act
    folder: Path
    config = JobConfig(attempts=3, backoff=0, cpus=0.1)

    def run(self, ctx: Context[Counting]) -> str:
        me = f"attempt {ctx.attempt}"
        print(me, flush=True)
        if self.act == "publish":
            with ctx.output(self.folder / "published") as out:
                out.path.write_text(me)
                self._live_on(ctx)
        else:
            self._live_on(ctx)
        if self.act == "checkpoint":
            ctx.checkpoint(Counting(done=ctx.attempt))
        if self.act == "spawn":
            ctx.spawn(Square(number=ctx.attempt), key=me)
        return me

    def _live_on(self, ctx: Context[Counting]) -> None:
        for number in itertools.count():
            if ctx.attempt > 1 or (self.folder / "act").exists():
                break
            print(f"still here {number}", flush=True)
            ctx.report(Counting(done=number))
            time.sleep(0.02)
        note(self.folder / "acts", f"{self.act}, attempt {ctx.attempt}")
