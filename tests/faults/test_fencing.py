"""A coordinator that stood still past its claims wakes up: others have done its jobs, and nothing that it still does counts."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import get_args

import psutil
import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState
from tests.faults.rows import rows
from tests.faults.work import WORK, Act, Zombie
from tests.lifecycle.asking import AnyHandle, endings, said, until
from tests.lifecycle.hosts import HASTY, Daemon, coordinating, gone
from tests.lifecycle.hosts import WORK as ORDINARY

ACTS: tuple[Act, ...] = get_args(Act)
MODULES = (ORDINARY, WORK)


@pytest.mark.fault("fencing: a coordinator is stopped past its claims and goes on")
async def test_a_coordinator_that_was_stopped_changes_nothing_any_more(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "stopped", url, slots=len(ACTS), modules=MODULES, **HASTY) as stopped:
        zombies = await submitted(client, tmp_path)
        workers = stopped.workers()
        await stopped.stand_still(client)

        await gone(workers, within=30)

        await taken_over_and_woken(client, url, tmp_path, stopped, zombies)
        assert acts_of(tmp_path, attempt=1) == set(), "their workers were gone before they could act"


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.fault("fencing: a coordinator and its guardian are stopped past its claims and go on")
async def test_workers_that_nobody_could_end_change_nothing_either(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "stopped", url, slots=len(ACTS), modules=MODULES, **HASTY) as stopped:
        zombies = await submitted(client, tmp_path)
        workers = stopped.workers()
        stopped.guardian().suspend()
        await stopped.stand_still(client)

        await taken_over_and_woken(client, url, tmp_path, stopped, zombies, acting=True)

        await gone(workers, within=30)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.fault("fencing: a coordinator is stopped past its claims, its guardian killed meanwhile")
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_coordinator_that_wakes_up_without_a_guardian_ends_its_workers_itself(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "stopped", url, slots=len(ACTS), modules=MODULES, **HASTY) as stopped:
        zombies = await submitted(client, tmp_path)
        workers = stopped.workers()
        await stopped.stand_still(client)
        stopped.guardian().kill()

        await taken_over_and_woken(client, url, tmp_path, stopped, zombies, acting=True)

        await gone(workers, within=30)


@pytest.mark.fault("fencing: a coordinator and its guardian are stopped, and another on their host takes the jobs")
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_who_takes_the_jobs_of_a_stopped_coordinator_on_its_host_ends_its_workers_first(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "stopped", url, slots=len(ACTS), modules=MODULES, **HASTY) as stopped:
        zombies = await submitted(client, tmp_path)
        workers = stopped.workers()
        stopped.guardian().suspend()
        await stopped.stand_still(client)

        await taken_over_and_woken(client, url, tmp_path, stopped, zombies)

        assert acts_of(tmp_path, attempt=1) == set(), "their workers were gone before they could act"
        await gone(workers, within=0)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coordinators of this process are on another host than the others, by their word."""
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")


async def submitted(client: Client, folder: Path) -> list[AnyHandle]:
    """Jobs that will do what they should not, all of them running."""
    zombies = await client.submit_many([Zombie(act=act, folder=folder) for act in ACTS])
    for zombie in zombies:
        await said(zombie, "still here 3")
    return [*zombies]


async def taken_over_and_woken(
    client: Client, url: str, folder: Path, stopped: Daemon, zombies: list[AnyHandle], *, acting: bool = False
) -> None:
    """Another coordinator does the jobs; then the first one goes on, and nothing changes.

    Args:
        acting: whether the first one's workers still live, and act before it goes on.
    """
    async with coordinating(url, slots=len(ACTS), modules=MODULES, **HASTY):
        assert [await zombie.result(timeout=30) for zombie in zombies] == ["attempt 2"] * len(zombies)
        await until(lambda: all_done(client))
    (folder / "act").touch()
    if acting:
        await until(lambda: acts_of(folder, attempt=1) == set(ACTS))
    before = await rows(url)

    for one in stopped.family():
        with suppress(psutil.NoSuchProcess):
            one.resume()
    await stopped.says("session is over")
    stopped.signal(signal.SIGTERM)
    await stopped.ended()

    after = await rows(url)
    assert after == before
    assert (folder / "published").read_text() == "attempt 2"
    assert not unpublished(folder), "nor is anything left of it"
    for zombie in zombies:
        assert await endings(client, zombie) == [Ending.FORFEITED, Ending.SUCCEEDED]


def acts_of(folder: Path, *, attempt: int) -> set[str]:
    """What was done at that attempt."""
    lines = (folder / "acts").read_text().splitlines() if (folder / "acts").exists() else []
    return {line.partition(",")[0] for line in lines if line.endswith(f"attempt {attempt}")}


def unpublished(folder: Path) -> set[Path]:
    return {*folder.glob(".published*")}


async def all_done(client: Client) -> bool:
    return not await client.list(queues=["default"], states=[JobState.SCHEDULED, JobState.READY, JobState.RUNNING])
