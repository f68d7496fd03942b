"""What jobs leave beside their targets stays only for a run that goes on with it."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import UUID

import pytest

from heavyjobs import Client
from heavyjobs.model import ClaimKey, JobState, new_id
from heavyjobs.parts import part_name
from tests.lifecycle.asking import said, until
from tests.lifecycle.hosts import Daemon, coordinating
from tests.lifecycle.leaving import AsyncHalf, AsyncWhole, Dying, Half, Whole

WORK = ("tests.lifecycle.leaving",)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The folder of the targets."""
    folder = tmp_path / "films"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", [Half, AsyncHalf])
async def test_a_job_that_is_handed_back_by_a_drain_leaves_its_half_for_the_next_run(
    client: Client, url: str, tmp_path: Path, films: Path, kind: type[Half | AsyncHalf]
) -> None:
    handle = await client.submit(kind(target=films / "a", until=tmp_path / "enough"))
    with Daemon(tmp_path / "host", url, drain="0s", modules=WORK) as daemon:
        await said(handle, "half is written")
        daemon.signal(signal.SIGTERM)
        await said(handle, "cleaning up")
        (tmp_path / "enough").touch()

        assert await daemon.ended() == 0

    assert (await handle.job()).state is JobState.READY
    assert contents(films) == ["half"]


@pytest.mark.parametrize("kind", [Half, AsyncHalf])
async def test_a_job_that_is_cancelled_in_the_grace_of_a_drain_leaves_nothing(
    client: Client, url: str, tmp_path: Path, films: Path, kind: type[Half | AsyncHalf]
) -> None:
    handle = await client.submit(kind(target=films / "a", until=tmp_path / "enough"))
    with Daemon(tmp_path / "host", url, drain="0s", modules=WORK) as daemon:
        await said(handle, "half is written")
        daemon.signal(signal.SIGTERM)
        await said(handle, "cleaning up")

        await client.cancel(handle.id)
        await said(handle, "stopping: cancel requested as well")
        (tmp_path / "enough").touch()

        assert await daemon.ended() == 0
    assert (await handle.job()).state is JobState.CANCELLED
    assert contents(films) == []


@pytest.mark.parametrize("kind", [Whole, AsyncWhole])
async def test_what_a_killed_job_left_that_was_cancelled_before_its_next_try_is_removed_by_the_next_job_in_that_folder(
    client: Client, url: str, films: Path, kind: type[Whole | AsyncWhole]
) -> None:
    async with coordinating(url, modules=WORK):
        killed, waiting = [await client.submit(Dying(target=films / name)) for name in ("killed", "waiting")]
        await until(lambda: died(client, killed.id, waiting.id))
        await killed.cancel()
        await (await client.submit(kind(target=films / "whole"))).result(timeout=20)

    (left,) = parts_in(films)
    assert waiting.id.hex in left, "a job that will be tried again keeps what it has"
    assert (films / "whole").read_text() == "whole"


async def test_what_a_job_of_another_database_left_stays(client: Client, url: str, films: Path) -> None:
    (films / part_name("a", ClaimKey(new_id(), 1))).mkdir()

    async with coordinating(url, modules=WORK):
        await (await client.submit(Whole(target=films / "whole"))).result(timeout=20)

    assert len(parts_in(films)) == 1


async def died(client: Client, *jobs: UUID) -> bool:
    return all([(await client.get(job)).state is JobState.SCHEDULED for job in jobs])


def parts_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def contents(folder: Path) -> list[str]:
    """Of the files in it."""
    return [path.read_text() for path in folder.iterdir()]
