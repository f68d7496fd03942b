"""Job types for faults of processes: each does one thing that no job should do. Workers import this module."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import itertools
import logging
import os
import random
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final, Literal, TypeAlias

from heavyjobs import AsyncContext, Context, Job, JobConfig, events
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


class Halted(Job[None], kind="faults.halted"):
    """Stops its own process, or its child program's, for ever."""

    child: bool
    config = JobConfig(attempts=1, grace="200ms", timeout="300ms")

    def run(self, ctx: Context) -> None:
        halt(child=self.child)


class HaltedForLong(Job[None], kind="faults.halted_for_long"):
    """The same without a timeout."""

    config = JobConfig(attempts=1, grace="200ms")

    def run(self, ctx: Context) -> None:
        halt(child=False)


def halt(*, child: bool) -> None:
    print("halting", flush=True)
    if child:
        subprocess.run(["sh", "-c", "kill -STOP $$"], check=True)
    else:
        os.kill(os.getpid(), signal.SIGSTOP)


class HaltedLane(Job[str], kind="faults.halted_lane"):
    """Stops the lane that it shares with others, the first time."""

    config = JobConfig(attempts=2, backoff="20ms", grace="200ms")

    async def run(self, ctx: AsyncContext) -> str:
        if ctx.attempt == 1:
            halt(child=False)
        return "went on"


class Brood(Job[str], kind="faults.brood"):
    """Starts children that sleep for ever, half of them in sessions of their own, and waits for them or leaves them behind."""

    children: int
    leaves: bool
    config = JobConfig(attempts=1, grace="200ms")

    def run(self, ctx: Context) -> str:
        for number in range(self.children):
            os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ, setsid=bool(number % 2))
        print("hatched", flush=True)
        while not self.leaves:
            time.sleep(0.05)
        return "left"


class Thread(Job[str], kind="faults.thread"):
    """Returns while a thread of its, not a daemon, waits for a lock that nobody will ever release."""

    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> str:
        lock = threading.Lock()
        lock.acquire()
        threading.Thread(target=lock.acquire, name="deadlocked").start()
        return "returned"


class Binary(Job[None], kind="faults.binary"):
    """Writes bytes of any value to both of its streams."""

    size: int
    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> None:
        for number in range(self.size // 4096):
            os.write(1 + number % 2, random.Random(number).randbytes(4096))  # noqa: S311


ODD: Final = b"utf-8 \xff\xc3( nul \0 bell \a red \x1b[31m title \x1b]0;owned\a c1 \xc2\x9b2J bidi \xe2\x80\xae back\b\b\b"
"""What a terminal should never get to see."""


class Odd(Job[None], kind="faults.odd"):
    """Says it in every way."""

    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> None:
        os.write(1, b"raw " + ODD + b"\n")
        text = ODD.decode("utf-8", "surrogateescape")
        print(f"printed {text}")
        logging.getLogger("tests").warning("logged %s", text)
        raise ValueError(f"raised {text}")


class Killed(Job[None], kind="faults.killed"):
    """Takes memory in a control group that has none left, until the kernel's killer comes."""

    group: Path
    config = JobConfig(attempts=1)

    def run(self, ctx: Context) -> None:
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        held = [bytearray(os.urandom(1 << 20)) for _ in range(1000)]
        raise AssertionError(f"{len(held)} MiB were to be had")
