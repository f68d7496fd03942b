"""An extraction under a real coordinator, whose worker is killed in the middle of it."""

from __future__ import annotations

import signal
import tarfile
from pathlib import Path

import pytest

from heavyjobs import Client, JobConfig, Reported
from heavyjobs.jobs.extracting import INTERVAL_BYTES
from heavyjobs.model import Ending
from tests.lifecycle.asking import AnyHandle, endings, texts
from tests.lifecycle.held import HeldExtract
from tests.lifecycle.hosts import Daemon, coordinating

FILES = 6
FILE_BYTES = INTERVAL_BYTES
MODULES = ["tests.lifecycle.held"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A tar of files that are mere holes, so that it costs nothing."""
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        for number in range(FILES):
            info = tarfile.TarInfo(f"{number}")
            info.size = FILE_BYTES
            file.write(info.tobuf())
            file.seek(FILE_BYTES, 1)
        file.truncate(file.tell() + 10240)
    return path


@pytest.mark.fault("process: the worker of an extraction is killed between two of its checkpoints")
async def test_an_extraction_whose_worker_was_killed_goes_on_from_its_checkpoint(
    client: Client, url: str, tmp_path: Path, archive: Path
) -> None:
    with Daemon(tmp_path / "host", url, modules=MODULES) as host:
        handle = await client.submit(held(archive, tmp_path / "out", at=2.5))
        await so_far(handle, 2.5 * FILE_BYTES)
        for worker in host.workers():
            worker.kill()
        result = await handle.result(timeout=60)

    assert await endings(client, handle) == [Ending.CRASHED, Ending.SUCCEEDED]
    assert any(f"going on after {done} members" in text for text in await texts(handle) for done in range(1, FILES))
    assert (result.files, result.bytes) == (FILES, FILES * FILE_BYTES)
    assert sizes(tmp_path / "out") == dict.fromkeys(map(str, range(FILES)), FILE_BYTES)
    assert not any(name.startswith(".out") for name in sizes(tmp_path)), "nothing is left beside it"


@pytest.mark.fault("people: a host drains in the middle of an extraction")
async def test_an_extraction_that_is_handed_back_goes_on_from_its_checkpoint(
    client: Client, url: str, tmp_path: Path, archive: Path
) -> None:
    job = held(archive, tmp_path / "out", at=2.5)
    sent = await client.submit_kind(job.kind, job.model_dump(), config=JobConfig(attempts=1))
    handle = client.handle(sent.id, HeldExtract)
    with Daemon(tmp_path / "first", url, modules=MODULES) as first:
        await so_far(handle, 2.5 * FILE_BYTES)
        first.signal(signal.SIGTERM)
        await first.ended()

    with Daemon(tmp_path / "second", url, modules=MODULES):
        await handle.result(timeout=60)

    assert await endings(client, handle) == [Ending.HANDED_BACK, Ending.SUCCEEDED]
    assert any(f"going on after {done} members" in text for text in await texts(handle) for done in range(1, FILES))
    assert sizes(tmp_path / "out") == dict.fromkeys(map(str, range(FILES)), FILE_BYTES)
    assert not any(name.startswith(".out") for name in sizes(tmp_path)), "nothing is left beside it"


@pytest.mark.fault("people: an extraction is cancelled in the middle of a file")
async def test_a_cancelled_extraction_leaves_nothing(client: Client, url: str, tmp_path: Path, archive: Path) -> None:
    async with coordinating(url, modules=MODULES):
        handle = await client.submit(held(archive, tmp_path / "out", at=1.5))
        await so_far(handle, 1.5 * FILE_BYTES)

        await handle.cancel()

    assert await endings(client, handle) == [Ending.CANCELLED]
    assert not any("out" in name for name in sizes(tmp_path))


def held(archive: Path, target: Path, *, at: float) -> HeldExtract:
    """An extraction that stands still after so many files, or it might be over before anything happens to it."""
    return HeldExtract(source=str(archive), target=str(target), hold_at_bytes=int(at * FILE_BYTES))


async def so_far(handle: AnyHandle, done: float) -> None:
    """Wait until the job has read so many bytes."""
    async for update in handle.watch():
        if isinstance(update, Reported) and update.status.done >= done:
            return
    raise AssertionError(f"it has ended: {await handle.outcome()}")


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}
