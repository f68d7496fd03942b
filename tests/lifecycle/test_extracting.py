"""An extraction under a real coordinator, whose worker is killed in the middle of it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.jobs import Extract
from heavyjobs.jobs.extracting import INTERVAL_BYTES
from heavyjobs.model import Ending
from tests.lifecycle.asking import endings, texts
from tests.lifecycle.hosts import Daemon

FILES = 6
FILE_BYTES = INTERVAL_BYTES


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
    with Daemon(tmp_path / "host", url, modules=["heavyjobs.jobs"]) as host:
        handle = await client.submit(Extract(source=str(archive), target=str(tmp_path / "out")))
        async for update in handle.watch():
            done = getattr(getattr(update, "status", None), "done", 0)
            if done > 2.5 * FILE_BYTES:
                break
        for worker in host.workers():
            worker.kill()
        result = await handle.result(timeout=60)

    assert await endings(client, handle) == [Ending.CRASHED, Ending.SUCCEEDED]
    assert any(f"going on after {done} members" in text for text in await texts(handle) for done in range(1, FILES))
    assert (result.files, result.bytes) == (FILES, FILES * FILE_BYTES)
    assert sizes(tmp_path / "out") == dict.fromkeys(map(str, range(FILES)), FILE_BYTES)
    assert not any(name.startswith(".out") for name in sizes(tmp_path)), "nothing is left beside it"


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}
