"""Coordinators for tests: in this process, or as a daemon of their own that can be killed, stopped and drained."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from heavyjobs.coordinator import Coordinator
from heavyjobs.settings import Settings
from heavyjobs.slots.tree import MARKER
from heavyjobs.store import open_store, options_of

ROOT: Final = Path(__file__).parents[2]
WORK: Final = "tests.lifecycle.work"
DEADLINE_SECONDS: Final = 30.0

CALM: Final[Mapping[str, Any]] = {"tick_every": "100ms", "poll_every": "200ms", "drain": "0s", "cpus": 100, "memory": "100GiB"}
"""Quick to hear, but slow to judge: a busy machine must not make a test fail."""

HASTY: Final[Mapping[str, Any]] = {**CALM, "lease": "1s", "kill": "500ms", "forfeit_after": "2500ms"}
"""For tests of death: claims are given up and taken over within seconds."""


def configuration(url: str, *, slots: int = 2, notify: bool = True, **coordinator: Any) -> dict[str, Any]:
    """What a configuration file would say."""
    return {
        "modules": [WORK],
        "preload": [WORK],
        "path": [str(ROOT)],
        "database": {"url": url, "timeout": "2s", "notify": notify},
        "coordinator": {**CALM, **coordinator},
        "queues": {"default": {"slots": slots}},
    }


@asynccontextmanager
async def coordinating(url: str, *, slots: int = 2, notify: bool = True, **coordinator: Any) -> AsyncGenerator[Coordinator]:
    """A coordinator in this process for the length of the block; ready to take jobs when the block begins."""
    settings = Settings.model_validate(configuration(url, slots=slots, notify=notify, **coordinator))
    async with open_store(url, options_of(settings.database)) as store:
        one = Coordinator(settings, store)
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
    """`heavyjobs run` in a process of its own."""

    def __init__(self, folder: Path, url: str, *, slots: int = 2, notify: bool = True, **coordinator: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.log: Final = folder / "log"
        self._folder: Final = folder
        config = folder / "heavyjobs.toml"
        config.write_text(_toml(configuration(url, slots=slots, notify=notify, **coordinator)))
        with self.log.open("wb") as log:
            self.process: Final = subprocess.Popen(
                [sys.executable, "-m", "heavyjobs.cli", "run", "--config", config],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if error is not None:
            print(self.said)

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
        """All processes that it has started and that live, directly or not, the guardian and the server of workers included."""
        return set(psutil.Process(self.process.pid).children(recursive=True))


def alive(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Those of them that live, zombies aside."""
    return {process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE}


async def until(holds: Callable[[], bool | Awaitable[bool]], *, within: float = DEADLINE_SECONDS) -> None:
    """Look until it holds, or fail after the deadline."""
    deadline = time.monotonic() + within
    while not (await found if isinstance(found := holds(), Awaitable) else found):
        assert time.monotonic() < deadline, f"not true within {within} s"
        await asyncio.sleep(0.01)


def marked(prefix: str = "") -> set[psutil.Process]:
    """Everything alive on this machine that a worker of ours started, as its environment says."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if MARKER in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process)
        except (psutil.Error, OSError):
            continue
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
