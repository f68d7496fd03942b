"""Who ends the trees of a coordinator that cannot: its guardian, else what forks workers, the kernel, who takes the jobs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from heavyjobs import Client
from heavyjobs.model import Ending
from tests.lifecycle.asking import endings, said
from tests.lifecycle.hosts import HASTY, Daemon, gone, lives
from tests.lifecycle.work import Film, Nap

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a lifeline needs F_SETSIG; run these tests on Linux")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            signal.SIGSTOP, marks=pytest.mark.fault("process: C code holds the GIL while its coordinator stands still")
        ),
        pytest.param(signal.SIGKILL, marks=pytest.mark.fault("process: C code holds the GIL while its coordinator is killed")),
    ],
)
async def test_a_guardian_ends_c_code_that_looks_at_nothing(
    client: Client, url: str, tmp_path: Path, number: signal.Signals
) -> None:
    stuck = await client.submit(Nap(how="lock"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(stuck, "napping")
        workers = daemon.workers()

        daemon.signal(number)

        await gone(workers, within=30)


@linux_only
@pytest.mark.fault("process: a guardian and its coordinator are killed at once")
async def test_what_forks_workers_ends_what_has_fled_when_coordinator_and_guardian_are_gone(
    client: Client, url: str, tmp_path: Path
) -> None:
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(film, "filming")
        family = daemon.family()
        assert len(fled(daemon)) == 1, "which the job has started in a session of its own"

        await daemon.killed_with(daemon.guardian())

        await gone(family, within=30)


@linux_only
@pytest.mark.fault("process: a guardian, its coordinator and what forks their workers are killed at once")
async def test_the_kernel_ends_workers_and_their_programs_when_nobody_of_ours_is_left(
    client: Client, url: str, tmp_path: Path
) -> None:
    stuck = await client.submit(Nap(how="lock"))
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(stuck, "napping")
        await said(film, "filming")
        family, far = daemon.family(), fled(daemon)

        await daemon.killed_with(daemon.guardian(), daemon.server())

        await gone(family - far, within=30)
        for process in far:
            assert lives(process), "only whoever takes the job finds it"
            process.kill()


@pytest.mark.fault("process: all that watch over a job are killed at once, and leave what has fled its session")
async def test_who_takes_the_jobs_of_a_dead_coordinator_on_its_host_ends_what_that_has_left_first(
    client: Client, url: str, tmp_path: Path
) -> None:
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "first", url, **HASTY) as first:
        await said(film, "filming")
        family = first.family()
        await first.killed_with(first.guardian(), first.server())
    with Daemon(tmp_path / "second", url, **HASTY) as second:
        await second.says("declared dead")

        assert [process for process in family if lives(process)] == [], "before the job could begin again"

        (tmp_path / "go").touch()
        await film.result(timeout=30)
    assert await endings(client, film) == [Ending.FORFEITED, Ending.SUCCEEDED]


@linux_only
async def test_a_coordinator_that_is_killed_leaves_no_semaphore(client: Client, url: str, tmp_path: Path) -> None:
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(film, "filming")
        family, semaphores = daemon.family(), semaphores_of(daemon.process.pid)

        daemon.signal(signal.SIGKILL)

        await gone(family, within=20)
        assert semaphores, "the executors have some"
        assert [path for path in semaphores if path.exists()] == []


def semaphores_of(pid: int) -> set[Path]:
    mapped = {Path(words[5]) for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if len(words := line.split()) > 5}
    return {path for path in mapped if path.name.startswith("sem.")}


def fled(daemon: Daemon) -> set[psutil.Process]:
    return {process for process in daemon.programs() if process.name() == "sleep" and os.getsid(process.pid) == process.pid}
