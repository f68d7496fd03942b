"""Where a part is measured: a database of its own, coordinators in processes of their own, a client in this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

from benchmarks import processes
from benchmarks.jobs import AsyncClock, Clock
from heavyjobs import Client, Handle, Reported
from heavyjobs.store import open_store
from heavyjobs.testing.postgres import PostgresServer

START_SECONDS: Final = 30.0


class Broken(Exception):
    """Something did not work at all, so there are no figures."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running coordinator."""

    process: asyncio.subprocess.Process
    mark: str

    @property
    def seen(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def helpers(self) -> list[psutil.Process]:
        """All that it has started: workers, guardian, the server that forks."""
        return [process for process in processes.marked(self.mark) if process.pid != self.process.pid]

    def peak_bytes(self) -> int:
        """The most memory that it has held."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


class Stage:
    """One store.

    Args:
        server: of PostgreSQL; None for SQLite.
        quick: whether a few repetitions will do.
    """

    def __init__(self, folder: Path, server: PostgresServer | None, *, quick: bool) -> None:
        self.name: Final = "PostgreSQL" if server else "SQLite"
        self.folder: Final = folder
        self.server: Final = server
        self.quick: Final = quick

    def times(self, often: int) -> int:
        """How often to do it."""
        return max(3, often // 10) if self.quick else often

    async def database(self, *, log_statements: bool = False) -> str:
        """The URL of a fresh one, with its tables."""
        if self.server:
            url = self.server.create_database()
            if log_statements:
                name = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]))
                self.server.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(name))
        else:
            url = f"sqlite:///{self.folder / uuid4().hex}.db"
        async with open_store(url) as store:
            await store.migrate()
        return url

    @asynccontextmanager
    async def coordinator(
        self,
        url: str,
        *,
        slots: int = 2,
        module: str = "heavyjobs",
        modules: Sequence[str] = ("benchmarks.jobs",),
        warm: bool = True,
        **coordinator: Any,
    ) -> AsyncGenerator[Daemon]:
        """`python -m heavyjobs run`, ready for work; drained at the end unless it is dead by then.

        Args:
            modules: of job types.
        """
        mark = uuid4().hex
        config = self.folder / f"{mark}.toml"
        config.write_text(_toml(url, slots, modules, coordinator), "utf-8")
        environment = {**os.environ, processes.MARK: mark}
        with config.with_suffix(".log").open("wb") as log:
            command = (sys.executable, "-m", module, "run", "--config", str(config))
            process = await asyncio.create_subprocess_exec(*command, cwd=self.folder, env=environment, stderr=log)
        try:
            await _until_ready(url, process, Path(log.name))
            if warm:
                await _warm(url, slots)
            yield Daemon(process, mark)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def until_it_reports(handle: Handle[Any, Any, Any]) -> Any:
    """The job's first status."""
    async with aclosing(handle.watch()) as updates:
        async for update in updates:
            if isinstance(update, Reported):
                return update.status
    raise Broken(f"job {handle} has ended: {await handle.outcome()}")


async def _until_ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with open_store(url) as store:
        try:
            async with asyncio.timeout(START_SECONDS):
                while process.returncode is None:
                    if any(one.session.pid == process.pid for one in await store.coordinators()):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
    said = await asyncio.to_thread(log.read_text, "utf-8", "replace")
    raise Broken(f"the coordinator did not start:\n{said[-2000:]}")


async def _warm(url: str, slots: int) -> None:
    """Have the jobs' module imported in all workers, and statements prepared."""
    async with Client.open(url) as client, asyncio.timeout(START_SECONDS):
        for _ in range(3):
            for handle in await client.submit_many([*(Clock(seconds=0.3) for _ in range(slots)), AsyncClock()]):
                await handle.result()


def _toml(url: str, slots: int, modules: Sequence[str], coordinator: Mapping[str, Any]) -> str:
    lines = [
        f"modules = {json.dumps(modules)}",
        f"path = [{json.dumps(str(Path(__file__).parent.parent))}]",
        f"database.url = {json.dumps(url)}",
        f"queues.default.slots = {slots}",
        f'workers.environment = ["{processes.MARK}"]',
        *(f"coordinator.{name} = {json.dumps(value)}" for name, value in coordinator.items()),
    ]
    return "\n".join(lines) + "\n"
