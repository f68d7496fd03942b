"""Job types that look at what they may be, see and use. Workers import this module, and the process that forks them before."""

# ruff: noqa: T201 - jobs print, and run programs

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig

ONCE = JobConfig(attempts=1, grace="1s")

IMPORTED_BY = (os.getpid(), os.getuid())
"""The process that imported this, and whom it was run as."""


class Seen(BaseModel):
    """What a job finds.

    Attributes:
        ids: real, effective and saved, of the user and of the group.
        began_with: the environment that the kernel remembers of its process.
        forked_from_importer: whether this module was there before the process was.
        core: the size to which it may dump its memory into a file.
    """

    ids: tuple[int, ...]
    groups: set[int]
    environment: dict[str, str]
    began_with: dict[str, str]
    imported_by: int
    forked_from_importer: bool
    core: int
    no_new_privs: bool


def looked() -> Seen:
    began = Path("/proc/self/environ").read_bytes().split(b"\0")
    status = Path("/proc/self/status").read_text()
    return Seen(
        ids=(*os.getresuid(), *os.getresgid()),
        groups=set(os.getgroups()),
        environment=dict(os.environ),
        began_with=dict(os.fsdecode(each).split("=", 1) for each in began if each),
        imported_by=IMPORTED_BY[1],
        forked_from_importer=IMPORTED_BY[0] != os.getpid(),
        core=resource.getrlimit(resource.RLIMIT_CORE)[0],
        no_new_privs="NoNewPrivs:\t1" in status,
    )


class Look(Job[Seen], kind="security.look"):
    config = ONCE

    def run(self, ctx: Context) -> Seen:
        return looked()


class AsyncLook(Job[Seen], kind="security.async_look"):
    config = ONCE

    async def run(self, ctx: AsyncContext) -> Seen:
        return looked()


class Made(BaseModel):
    """Who owns what the context's tools make, and the permissions of its scratch folder."""

    scratch_mode: int
    owners: dict[str, int]


class Make(Job[Made], kind="security.make"):
    """Uses every tool of the context that makes something."""

    target: Path
    config = ONCE

    def run(self, ctx: Context) -> Made:
        with ctx.output(self.target) as out:
            Path(out).write_text("made")
        with ctx.program(["id", "-u"]) as lines:
            (said,) = lines
        scratch = ctx.workspace.stat()
        owners = {"output": self.target.stat().st_uid, "program": int(said), "scratch": scratch.st_uid}
        return Made(scratch_mode=scratch.st_mode & 0o777, owners=owners)


class Help(Job[list[int]], kind="security.help"):
    """Has multiprocessing do a little of all that it can, and gives the folder that it keeps its sockets in."""

    config = ONCE

    def run(self, ctx: Context) -> list[int]:
        context = multiprocessing.get_context("forkserver")
        shared = context.RawArray("i", 2)
        shared[0] = 3
        with context.Manager() as manager, context.Pool(1) as pool:
            numbers = manager.list(pool.map(abs, [-1, -2]))
            return [*numbers, shared[0]]


class Leak(Job[str], kind="security.leak"):
    """Says a URL in every way that a job has to say something."""

    url: str
    config = ONCE

    def run(self, ctx: Context) -> str:
        print(f"asking {self.url}", flush=True)
        os.write(2, f"asking {self.url}\n".encode())
        raise RuntimeError(f"404 for {self.url}")


class Tree(Job[None], kind="security.tree"):
    """Starts a child that flees from its session, says `up`, and sleeps."""

    config = JobConfig(attempts=1, grace="200ms")

    def run(self, ctx: Context) -> None:
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        with ctx.program(["sleep", "600"]):
            print("up", flush=True)
            time.sleep(600)


class Fill(Job[None], kind="security.fill"):
    """Writes a file of so many bytes, itself or with a program."""

    size: int
    program: bool
    config = ONCE

    def run(self, ctx: Context) -> None:
        path = ctx.workspace / "file"
        if not self.program:
            path.write_bytes(bytes(self.size))
            return
        with ctx.program(["dd", "if=/dev/zero", f"of={path}", f"bs={self.size}", "count=1"], stream="stderr") as lines:
            for _ in lines:
                pass


class Open(Job[int], kind="security.open"):
    """Opens the same file again and again."""

    config = ONCE

    def run(self, ctx: Context) -> int:
        return len([os.open("/dev/null", os.O_RDONLY) for _ in range(100_000)])


class Breed(Job[None], kind="security.breed"):
    """Starts processes until it may start no more, says so, and keeps them."""

    most: int
    config = ONCE

    def run(self, ctx: Context) -> None:
        children = list[subprocess.Popen[bytes]]()
        try:
            for _ in range(self.most):
                children.append(subprocess.Popen(["sleep", "600"]))
        except BlockingIOError as error:
            print(f"no more: {error.strerror}", flush=True)
            time.sleep(600)


class Exit(Job[None], kind="security.exit"):
    """Takes its worker with it."""

    config = ONCE

    def run(self, ctx: Context) -> None:
        os._exit(3)


class Descriptors(BaseModel):
    """By number, what leads where; of the worker itself, and of a program that it starts."""

    own: dict[int, str]
    program: dict[int, str]


class ListDescriptors(Job[Descriptors], kind="security.descriptors"):
    config = ONCE

    def run(self, ctx: Context) -> Descriptors:
        with ctx.program([sys.executable, "-c", "from tests.security import work; work.print_descriptors()"]) as lines:
            program = {int(number): where for line in lines for number, where in [line.split(" ", 1)]}
        return Descriptors(own=_descriptors(), program=program)


def print_descriptors() -> None:
    for number, where in _descriptors().items():
        print(number, where)


def _descriptors() -> Mapping[int, str]:
    found = dict[int, str]()
    for each in sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the one that listed the folder
            found[each] = str(Path(f"/proc/self/fd/{each}").readlink())
    return found
