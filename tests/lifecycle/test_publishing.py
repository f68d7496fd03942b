"""A job that is killed when its output is published, and nobody knows its result yet, is found to have done its work."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from heavyjobs import Client
from heavyjobs.job import Job
from heavyjobs.jobs.places import state_of
from heavyjobs.model import Ending
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import film
from tests.lifecycle.asking import endings, texts, until
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.publishing import DyingConvert, DyingCopy, DyingExtractAudio, DyingPack, DyingTranscode

WORK = ("tests.lifecycle.publishing",)


def packed(folder: Path) -> Job[Any, Any, Any]:
    return DyingPack(source=str(photos(folder)), target=str(folder / "out" / "a.tar.gz"))


def converted(folder: Path) -> Job[Any, Any, Any]:
    with tarfile.open(folder / "a.tar", "w") as tar:
        tar.add(photos(folder), "photos")
    return DyingConvert(source=str(folder / "a.tar"), target=str(folder / "out" / "a.tar.gz"))


def copied(folder: Path) -> Job[Any, Any, Any]:
    return DyingCopy(source=str(photos(folder) / "a"), target=str(folder / "out" / "a"))


def copied_tree(folder: Path) -> Job[Any, Any, Any]:
    return DyingCopy(source=str(photos(folder)), target=str(folder / "out" / "photos"))


def copied_if_absent(folder: Path) -> Job[Any, Any, Any]:
    return DyingCopy(source=str(photos(folder) / "a"), target=str(folder / "out" / "a"), overwrite="skip")


def transcoded(folder: Path) -> Job[Any, Any, Any]:
    made = film(folder / "a.mkv", "-c:v", "libx264", "-preset", "ultrafast", seconds=1)
    return DyingTranscode(source=str(made), target=str(folder / "out" / "a.mp4"))


def sound(folder: Path) -> Job[Any, Any, Any]:
    made = film(folder / "a.mkv", "-c:v", "libx264", "-preset", "ultrafast", seconds=1)
    return DyingExtractAudio(source=str(made), target=str(folder / "out" / "a.wav"), preset="wav")


def photos(folder: Path) -> Path:
    (folder / "photos").mkdir()
    for name in ("a", "b"):
        (folder / "photos" / name).write_bytes(os.urandom(100_000))
    return folder / "photos"


@pytest.mark.parametrize("make", [packed, converted, copied, copied_tree, copied_if_absent, transcoded, sound])
async def test_a_job_that_is_killed_after_it_has_published_gives_its_result_when_it_runs_again(
    client: Client, url: str, tmp_path: Path, make: Any
) -> None:
    (tmp_path / "out").mkdir()
    job = make(tmp_path)

    async with coordinating(url, modules=WORK):
        handle = await client.submit(job)
        await until(lambda: Path(job.target).exists(), within=60)
        first = state_of(Path(job.target))
        result = await handle.result(timeout=60)

    *died, last = await endings(client, handle)
    assert died
    assert last is Ending.SUCCEEDED
    assert state_of(Path(job.target)) == first, "it was not made again"
    assert sha256_of(job.target) in {None, result.sha256}
    assert result.path == job.target
    assert getattr(result, "files", 1) > 0
    assert any("was published by an earlier attempt" in text for text in await texts(handle))
    assert next(iter(listing(tmp_path / "out"))) == Path(job.target).name
    assert not [name for name in listing(tmp_path / "out") if name.startswith(".")]


def sha256_of(path: str) -> str | None:
    """Of a file; of a folder nothing."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else None
