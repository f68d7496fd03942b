"""Coordinators for tests: in this process, or as a daemon of their own that can be killed, stopped and drained."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import psutil

from heavyjobs import Client
from heavyjobs.coordinator import Coordinator
from heavyjobs.processes import WORKER_MARK, every_process
from heavyjobs.settings import Settings
from heavyjobs.slots.tree import label
from heavyjobs.store import open_store, options_of
from heavyjobs.store.protocol import Store
from tests.lifecycle.asking import DEADLINE_SECONDS, until
from tests.lifecycle.work import Nap

ROOT: Final = Path(__file__).parents[2]
TESTED_BY: Final = "TESTED_BY"
"""The variable by which all processes of one test are found, whoever their parents are by then."""

WORK: Final = "tests.lifecycle.work"

GOES_ON_SECONDS: Final = 0.05
"""For how long a process that was stopped while it held a lock may go on before it is stopped anew."""

CALM: Final[Mapping[str, Any]] = {"tick_every": "100ms", "poll_every": "200ms", "drain": "0s", "cpus": 100, "memory": "100GiB"}
"""Quick to hear, but slow to judge: a busy machine must not make a test fail."""

HASTY: Final[Mapping[str, Any]] = {**CALM, "lease": "3s", "kill": "500ms", "forfeit_after": "4500ms"}
"""For tests of death: claims are given up and taken over within seconds, but not because a busy machine stalls for two."""


def configuration(
    url: str,
    *,
    slots: int = 2,
    queue: str = "default",
    notify: bool = True,
    listen_url: str | None = None,
    modules: Sequence[str] = (WORK,),
    workers: Mapping[str, Any] | None = None,
    locations: Mapping[str, str] | None = None,
    **coordinator: Any,
) -> dict[str, Any]:
    """What a configuration file would say."""
    return {
        "modules": [*modules],
        "preload": [*modules],
        "path": [str(ROOT)],
        "database": {"url": url, "timeout": "2s", "notify": notify, **({"listen_url": listen_url} if listen_url else {})},
        "coordinator": {**CALM, **coordinator},
        "workers": {"environment": ["TESTED_*"], **(workers or {})},
        "queues": {queue: {"slots": slots}},
        "locations": {name: {"url": place} for name, place in (locations or {}).items()},
    }


@asynccontextmanager
async def coordinating(
    url: str, *, reached_by: Callable[[Store], Store] = lambda store: store, **how: Any
) -> AsyncGenerator[Coordinator]:
    """A coordinator in this process for the length of the block; ready to take jobs when the block begins."""
    settings = Settings.model_validate(configuration(url, **how))
    async with open_store(url, options_of(settings.database)) as store:
        one = Coordinator(settings, reached_by(store))
        running = asyncio.create_task(one.run())
        try:
            ready = asyncio.create_task(one.ready.wait())
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
            yield one
        finally:
            one.stop()
            one.stop()
            await running


class Daemon:
    """`heavyjobs run` in a process of its own.

    Args:
        unread: a pipe that its log goes to instead of the file.
        python: that runs it.
    """

    def __init__(self, folder: Path, url: str, *, unread: int | None = None, python: str = sys.executable, **how: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.log: Final = folder / "log"
        self._name: Final = uuid4().hex
        config = folder / "heavyjobs.toml"
        config.write_text(_toml(configuration(url, **how)))
        with self.log.open("wb") as log:
            self.process: Final = subprocess.Popen(
                [python, "-m", "heavyjobs.cli", "run", "--config", config],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log if unread is None else unread,
                stderr=log if unread is None else unread,
                start_new_session=True,
                env={**os.environ, TESTED_BY: self._name},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            print(self.said)  # noqa: T201 - pytest shows it with the failure
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def says(self, text: str) -> None:
        """Wait until its log has the text."""
        await until(lambda: text in self.said)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, within: float = DEADLINE_SECONDS) -> int:
        """Its exit code, once it has ended."""
        await until(lambda: self.process.poll() is not None, within=within)
        return self.process.returncode

    def family(self) -> set[psutil.Process]:
        """All that it has started and that lives, however deep: helpers, workers, child programs."""
        return carrying(TESTED_BY, self._name)

    def guardian(self) -> psutil.Process:
        (found,) = [process for process in self.family() if "heavyjobs.slots.guardian" in _command(process)]
        return found

    def workers(self) -> set[psutil.Process]:
        """What the guardian must end: everything below the server of workers."""
        return set(self.server().children(recursive=True))

    def server(self) -> psutil.Process:
        """What forks the workers."""
        servers = [process for process in self.family() if "forkserver" in _command(process)]
        return min(servers, key=psutil.Process.create_time)

    async def stand_still(self, client: Client) -> None:
        """Stop the process, at a moment at which it holds no lock of the database."""
        while True:
            self.signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(0.5):
                    await client.submit(Nap(until=Path("/")))
            except (TimeoutError, OSError):
                self.signal(signal.SIGCONT)
                await asyncio.sleep(GOES_ON_SECONDS)  # or it is stopped again before it could let go
            else:
                return

    async def killed_with(self, *others: psutil.Process) -> None:
        """Kill it and all of these, so that none of them has a moment to do anything."""
        itself = psutil.Process(self.process.pid)
        for each in (itself, *others):  # itself first: it would continue what forks its workers
            each.suspend()
            await until(lambda each=each: each.status() == psutil.STATUS_STOPPED)  # type: ignore[misc]
        self.signal(signal.SIGKILL)
        await self.ended()
        for other in others:
            other.kill()

    def programs(self) -> set[psutil.Process]:
        """Those of its family that jobs have started."""
        return {process for process in self.family() if _is_program(process)}


async def gone(processes: set[psutil.Process], *, within: float) -> None:
    """Wait until none of them lives."""
    names = {process: label(process) for process in processes}
    deadline = time.monotonic() + within
    while left := [names[process] for process in processes if lives(process)]:
        assert time.monotonic() < deadline, f"after {within} s there is still {', '.join(left)}"
        await asyncio.sleep(0.01)


def lives(process: psutil.Process) -> bool:
    """Whether it is there and no zombie."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _command(process: psutil.Process) -> str:
    """Its command line; empty once it has gone."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _is_program(process: psutil.Process) -> bool:
    with suppress(psutil.Error, OSError):
        return WORKER_MARK in process.environ()
    return False


def left_of_jobs() -> set[psutil.Process]:
    """What jobs of coordinators in this process have started and that lives."""
    return {process for process in carrying(TESTED_BY, os.environ[TESTED_BY]) if _is_program(process)}


def carrying(variable: str, value: str) -> set[psutil.Process]:
    """All live processes on this machine that were started with that variable."""
    found: set[psutil.Process] = set()
    for process in every_process():
        with suppress(psutil.Error, OSError):
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process)
    return found


def _toml(config: Mapping[str, Any]) -> str:
    plain = [f"{key} = {json.dumps(value)}" for key, value in config.items() if not isinstance(value, Mapping)]
    tables = [(key, value) for key, value in config.items() if isinstance(value, Mapping)]
    parts = ["\n".join(plain)]
    for key, value in tables:
        nested = {name: inner for name, inner in value.items() if isinstance(inner, Mapping)}
        flat = {name: inner for name, inner in value.items() if name not in nested}
        parts.append(f"[{key}]\n" + _toml(flat))
        parts += [f"[{key}.{name}]\n" + _toml(inner) for name, inner in nested.items()]
    return "\n".join(parts)
