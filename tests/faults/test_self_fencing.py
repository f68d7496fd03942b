"""No two invocations of one job live at the same time, wherever a coordinator is cut off from the database: before another may
take its jobs, their processes are gone. Shown by what the processes themselves have noted.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from heavyjobs import Client
from heavyjobs.slots.guardian import boot_seconds
from heavyjobs.testing.postgres import PostgresServer
from heavyjobs.testing.proxy import FaultyProxy
from tests.faults.intervals import intervals, overlaps
from tests.faults.work import WORK, Witness
from tests.lifecycle.asking import AnyHandle, until
from tests.lifecycle.hosts import Daemon

QUICK: Final[Mapping[str, Any]] = {"lease": "600ms", "kill": "600ms", "forfeit_after": "2s"}
CUT_SECONDS: Final = (0.3, 1.5, 2.7)
"""Shorter than a lease; longer, but too short for others to notice; long enough to lose the jobs."""


class Stage:
    """Two coordinators that share two jobs, each with a way of its own to the database."""

    def __init__(self, folder: Path, url: str, server: PostgresServer | None, jobs: list[AnyHandle]) -> None:
        self.witness: Final = folder / "witness"
        self._folder: Final = folder
        self._url: Final = url
        self._server: Final = server
        self._jobs: Final = jobs
        self._proxies: Final[list[FaultyProxy]] = []
        self._daemons: Final[list[Daemon]] = []
        self._stack: Final = AsyncExitStack()

    async def __aenter__(self) -> Stage:
        for number in range(2):
            if self._server is not None:
                self._proxies.append(await self._stack.enter_async_context(FaultyProxy(self._url)))
            self._daemons.append(self._start(number))
        return self

    async def __aexit__(self, *error: object) -> None:
        for daemon in self._daemons:
            daemon.signal(signal.SIGKILL)  # they could not drain: their ways to the database are in this loop
            await daemon.ended()
        await self._stack.aclose()

    def _start(self, number: int) -> Daemon:
        url = self._proxies[number].url if self._proxies else self._url
        folder = self._folder / f"host {number} {len(self._daemons)}"
        return self._stack.enter_context(Daemon(folder, url, modules=[WORK], slots=2, **QUICK))

    async def all_work(self) -> None:
        """Wait until each job says that it lives, from now on."""
        now = boot_seconds()
        jobs = {str(job.id) for job in self._jobs}
        await until(lambda: {job for job, lived in intervals(self.witness).items() if lived[-1].last > now} == jobs)

    async def cut(self, kind: str, which: int, seconds: float) -> None:
        """Cut one of them off for so long, or both; one that is killed begins anew at once."""
        if kind == "killed":
            self._daemons[which].signal(signal.SIGKILL)
            await self._daemons[which].ended()
            self._daemons[which] = self._start(which)
            return
        ways = {"stopped": self._stopped, "network": self._unheard, "database": self._database_gone}
        with ways[kind](which):
            await asyncio.sleep(seconds)  # not to wait for anything: the length is the fault

    @contextmanager
    def _stopped(self, which: int) -> Generator[None]:
        self._daemons[which].signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemons[which].signal(signal.SIGCONT)

    @contextmanager
    def _unheard(self, which: int) -> Generator[None]:
        self._proxies[which].freeze()
        try:
            yield
        finally:
            self._proxies[which].thaw()

    @contextmanager
    def _database_gone(self, _which: int) -> Generator[None]:
        if self._server is not None:
            with self._server.standing_still():
                yield
        else:
            with closing(sqlite3.connect(urlsplit(self._url).path, isolation_level=None, timeout=30)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield


def plan(seed: int, kinds: Sequence[str], *, cuts: int) -> Iterator[tuple[str, int, float]]:
    """So many cuts: of which kind, of which coordinator, for how long."""
    chance = random.Random(seed)  # noqa: S311 - the same again with the same seed
    for _ in range(cuts):
        yield chance.choice(kinds), chance.randrange(2), chance.choice(CUT_SECONDS) + chance.random() / 5


@pytest.mark.parametrize(
    ("url", "kinds", "seed"),
    [
        pytest.param("sqlite", ("database", "stopped", "killed"), 1, id="sqlite"),
        pytest.param("postgres", ("database", "network", "network", "stopped", "killed"), 2, id="postgres"),
    ],
    indirect=["url"],
)
@pytest.mark.fault("self-fencing: a coordinator is cut off, stopped or killed")
async def test_no_two_invocations_of_one_job_ever_live_at_the_same_time(
    client: Client, url: str, tmp_path: Path, request: pytest.FixtureRequest, kinds: Sequence[str], seed: int
) -> None:
    server = None if url.startswith("sqlite") else request.getfixturevalue("postgres")
    witness = tmp_path / "witness"
    jobs = await client.submit_many([Witness(path=witness, stuck=stuck) for stuck in (False, True)])
    async with Stage(tmp_path, url, server, [*jobs]) as stage:
        # The last one hits both, so that each job has begun twice at least.
        for kind, which, seconds in [*plan(seed, kinds, cuts=5), ("database", 0, 1.2)]:
            await stage.all_work()
            await stage.cut(kind, which, seconds)
        await stage.all_work()
        for job in jobs:
            await job.cancel(grace=0)

    lived = intervals(witness)
    assert overlaps(witness) == []
    assert min(len(invocations) for invocations in lived.values()) >= 2, "or nothing was shown"
