"""Hosts: a coordinator each, `heavyjobs run` in a process of its own, started again whenever it has ended."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil

from soaking import cast, witness
from soaking.daemon import HOST
from soaking.diary import Diary
from soaking.family import carrying

SOAK: Final = "HEAVYJOBS_SOAK"
LIFE: Final = "HEAVYJOBS_SOAK_LIFE"
"""Variables that all processes carry: of this soak, and of one life of one coordinator."""

START_SECONDS: Final = 60.0
OUTLIVE_SECONDS: Final = 15.0
"""After the end of a coordinator, until nothing that it started may live any more. Generous, for a busy machine."""

AWAY: Final = 3
"""The exit code of a coordinator that cannot begin because the database is away."""

BEGINS: Final = "session begins"


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a coordinator's process.

    Attributes:
        at: seconds since boot.
        code: its exit code, or minus the signal.
        told: what was done to it; None when it has ended by itself.
        outlived: seconds until nothing of it lived any more; None when something had to be killed.
    """

    host: str
    pid: int
    at: float
    code: int
    told: str | None
    outlived: float | None


class Host:
    """One host; `keep` has its coordinator running until `close`."""

    def __init__(self, name: str, folder: Path, *, url: str, soak: str, scratch: Path, diary: Diary) -> None:
        self.name: Final = name
        self.folder: Final = folder / name
        self.deaths: Final[list[Death]] = []
        self.strays: Final[list[str]] = []
        """Processes that outlived their coordinator for too long."""
        self.pause_seconds = 0.3
        self.told: str | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._url: Final = url
        self._environment: Final = {**os.environ, SOAK: soak, HOST: name, "TMPDIR": str(scratch), "HEAVYJOBS_DEBUG": "1"}
        self._diary: Final = diary
        self._life = ""
        self._lives = 0
        self._closing = False
        self.folder.mkdir()
        (self.folder / "heavyjobs.toml").write_text(_configuration(name, url), "utf-8")

    # -- its life

    async def keep(self) -> None:
        """Start its coordinator, and again whenever it has ended, until the host is closed."""
        while not self._closing:
            self._start()
            assert self.process is not None  # noqa: S101 - for the type checker
            await _over(self.process)
            await self._mourn(self.process)
            if not self._closing:
                await asyncio.sleep(self.pause_seconds)
            self.pause_seconds = 0.3

    async def close(self, *, seconds: float = 30.0) -> None:
        """Drain it for good, by force in the end."""
        self._closing = True
        self.told = "closed"
        process = self.process
        if process is None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            self.signal(number)
        if not await until(lambda: process.poll() is not None, within=seconds):
            self._diary.wrong("draining", f"{self.name} has not ended within {seconds:.0f} s of SIGTERM")

    def kill_all(self) -> None:
        """End its coordinator and whatever it has started, at once."""
        self._closing = True
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for process in self.family():
            with suppress(psutil.Error):
                process.kill()

    def _start(self) -> None:
        self._lives += 1
        self._life = uuid4().hex
        self.told = None
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "soaking.daemon", "run", "--config", "heavyjobs.toml"],
                cwd=self.folder,
                env={**self._environment, LIFE: self._life, witness.PATH: self._environment[witness.PATH]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _mourn(self, process: subprocess.Popen[bytes]) -> None:
        """Write down how it ended, and see that nothing of it lives on."""
        at, told, code = witness.now(), self.told, process.returncode
        await until(lambda: not self.family(), within=OUTLIVE_SECONDS)
        left = self.family()
        for stray in left:
            with suppress(psutil.Error):
                self.strays.append(f"{self.name}: {' '.join(stray.cmdline())[:120]} ({stray.pid}), {told or f'exit {code}'}")
                stray.kill()
        death = Death(self.name, process.pid, at, code, told, None if left else witness.now() - at)
        self.deaths.append(death)
        self._diary.note("death", host=self.name, pid=process.pid, code=code, told=told, outlived=death.outlived)
        if _unforeseen(code, told):
            self._diary.wrong("exits", f"{self.name} ({self.log.name}) ended by itself with {code}: …{self.said()[-600:]}")

    # -- what is known of it

    @property
    def log(self) -> Path:
        """Of its present life."""
        return self.folder / f"log-{self._lives:04d}"

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    async def ready(self, *, within: float = START_SECONDS) -> bool:
        """Wait until its coordinator works; False when it does not in time."""
        return await until(lambda: self.alive and BEGINS in self.said(), within=within)

    def family(self) -> list[psutil.Process]:
        """All that its present coordinator has started and that lives, itself left out."""
        mine = self.process.pid if self.process else 0
        return [process for process in carrying(LIFE, self._life) if process.pid != mine]

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


async def _over(process: subprocess.Popen[bytes]) -> None:
    await until(lambda: process.poll() is not None, within=math.inf)


def _unforeseen(code: int, told: str | None) -> bool:
    if told is None:
        return code != AWAY
    return code not in {0, -signal.SIGKILL, -signal.SIGTERM, AWAY}


async def until(holds: Callable[[], object], *, within: float) -> bool:
    """Look until it holds; whether it did in time."""
    deadline = witness.now() + within
    while not holds():
        if witness.now() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


# -- configuration


def _configuration(name: str, url: str) -> str:
    coordinator: dict[str, object] = {
        "name": name,
        "tick_every": cast.TICK_SECONDS,
        "lease": cast.LEASE_SECONDS,
        "kill": cast.KILL_SECONDS,
        "forfeit_after": cast.FORFEIT_SECONDS,
        "poll_every": 0.5,
        "drain": cast.DRAIN_SECONDS,
        "cpus": 100,
        "memory": "100GiB",
    }
    lines = [
        'modules = ["soaking.jobs"]',
        'preload = ["soaking.jobs"]',
        f"path = [{json.dumps(str(Path(__file__).parents[1]))}]",
        f"database.url = {json.dumps(url)}",
        'database.timeout = "2s"',
        "queues.default.slots = 2",
        'workers.environment = ["HEAVYJOBS_SOAK*"]',
        *(f"coordinator.{key} = {json.dumps(value)}" for key, value in coordinator.items()),
    ]
    return "\n".join(lines) + "\n"
