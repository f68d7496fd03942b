"""What jobs leave beside their targets stays only for a run that goes on with it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.model import JobState
from tests.lifecycle.asking import said
from tests.lifecycle.hosts import Daemon
from tests.lifecycle.leaving import AsyncHalf, Half

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


def contents(folder: Path) -> list[str]:
    """Of the files in it."""
    return [path.read_text() for path in folder.iterdir()]
