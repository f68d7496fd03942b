"""Job types for faults of processes: each does one thing that no job should do. Workers import this module."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Final, Literal, TypeAlias

from heavyjobs import Context, Job, JobConfig, events
from heavyjobs.slots.guardian import boot_seconds
from tests.lifecycle.work import Counting, Square, note

WORK: Final = "tests.faults.work"

Act: TypeAlias = Literal["publish", "checkpoint", "spawn", "cancel a child", "return"]
"""What a job does that was taken from its coordinator."""


class Unserved(Job[None], kind="faults.unserved"):
    """Waits for ever: no coordinator serves its queue."""

    config = JobConfig(queue="nowhere")

    def run(self, ctx: Context) -> None:
        raise AssertionError("nobody runs this")


class Zombie(Job[str, Counting], kind="faults.zombie"):
    """Speaks and reports at its first attempt until a file is there, and then acts; at the second it acts at once."""

    act: Act
    folder: Path
    config = JobConfig(attempts=3, backoff=0, cpus=0.1)

    def run(self, ctx: Context[Counting]) -> str:
        me = f"attempt {ctx.attempt}"
        print(me, flush=True)
        child = ctx.spawn(Unserved(), key="child") if self.act == "cancel a child" else None
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
        if child is not None and ctx.attempt == 1:
            ctx._link.ask(events.CancelJobs((child.id,)))  # as `gather` does when another child has died
        return me

    def _live_on(self, ctx: Context[Counting]) -> None:
        for number in itertools.count():
            if ctx.attempt > 1 or (self.folder / "act").exists():
                break
            print(f"still here {number}", flush=True)
            ctx.report(Counting(done=number))
            time.sleep(0.02)
        note(self.folder / "acts", f"{self.act}, attempt {ctx.attempt}")


class Witness(Job[None], kind="faults.witness"):
    """Notes for ever that it lives, every few milliseconds: itself, or a child in a session of its own while C code holds the
    interpreter's lock.
    """

    path: Path
    stuck: bool
    config = JobConfig(attempts=1000, backoff=0, grace="200ms", cpus=0.1)

    def run(self, ctx: Context) -> None:
        who = f"{ctx.job_id} {ctx.claim.number}"
        if self.stuck:
            look = 'read -r now rest < /proc/uptime; echo "$1 $$ $now" >> "$0"; sleep 0.02'
            subprocess.Popen(["sh", "-c", f"while :; do {look}; done", str(self.path), who], start_new_session=True)
            deque(itertools.repeat(None), maxlen=0)
        while True:
            note(self.path, f"{who} {os.getpid()} {boot_seconds():.2f}")
            time.sleep(0.01)
