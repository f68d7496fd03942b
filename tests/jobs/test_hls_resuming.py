"""Renditions that are finished outlive their worker: real coordinators, workers killed at random points."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from heavyjobs import Client, Reported
from heavyjobs.jobs.hls import HlsMade
from heavyjobs.model import Ending
from heavyjobs.store import open_store
from heavyjobs.testing.inline import run_inline
from tests.jobs.clips import decoded, make_clip
from tests.jobs.mortal_renditions import MortalHls
from tests.lifecycle.asking import endings, texts
from tests.lifecycle.hosts import TESTED_BY, coordinating, left_of_jobs

RENDITIONS = ("480p", "360p", "240p")
REPORTS_AT_LEAST = 4 * len((*RENDITIONS, "sound"))
"""However fast the machine: two for each phase, and two phases for each of them."""
HLS = ("-allowed_extensions", "ALL", "-protocol_whitelist", "file")


@pytest.fixture(scope="module", autouse=True)
def tested_by() -> None:
    os.environ[TESTED_BY] = uuid4().hex


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "film.mp4", seconds=12, size="854x480")


def mortal(film: Path, target: Path, deaths: Sequence[int | str], *, hold_in: str = "") -> MortalHls:
    return MortalHls(
        source=str(film), target=str(target), renditions=RENDITIONS, segment_seconds=2, deaths=[*deaths], hold_in=hold_in
    )


def outputs(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if "jobs.db" not in path.name}


@pytest.fixture(scope="module")
def reports(film: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """About how many there are when nothing happens; more where the machine is slow."""
    return len(run_inline(mortal(film, tmp_path_factory.mktemp("whole") / "a", [])).statuses)


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A fresh, migrated database."""
    address = f"sqlite:///{tmp_path}/jobs.db"
    async with open_store(address) as store:
        await store.migrate()
    return address


async def test_a_cancel_while_a_rendition_is_made_leaves_nothing(tmp_path: Path, film: Path, url: str) -> None:
    async with Client.open(url) as client, coordinating(url, modules=("tests.jobs.mortal_renditions",)):
        handle = await client.submit(mortal(film, tmp_path / "a", [], hold_in="encoding 360p"))
        async with asyncio.timeout(60):
            async for update in handle.watch():
                if isinstance(update, Reported) and update.status.phase == "encoding 360p":
                    break

        await handle.cancel()  # returns when all of it is gone

    assert outputs(tmp_path) == set()
    assert left_of_jobs() == set()


async def test_a_host_that_drains_while_a_rendition_is_made_leaves_those_that_are_finished_to_the_next(
    tmp_path: Path, film: Path, url: str
) -> None:
    async with Client.open(url) as client:
        handle = await client.submit(mortal(film, tmp_path / "a", [], hold_in="encoding 360p"))
        async with coordinating(url, modules=("tests.jobs.mortal_renditions",)), asyncio.timeout(60):
            async for update in handle.watch():
                if isinstance(update, Reported) and update.status.phase == "encoding 360p":
                    break
        async with coordinating(url, modules=("tests.jobs.mortal_renditions",)):
            await handle.result(timeout=100)
        ended, log = await endings(client, handle), await texts(handle)

    assert ended == [Ending.HANDED_BACK, Ending.SUCCEEDED]
    finished = [line.split()[1].rstrip(":") for line in log if line.startswith("finished ")]
    assert finished == [*RENDITIONS, "sound"]  # each once
    assert outputs(tmp_path) == {"a"}


async def test_what_was_finished_is_remembered_when_the_worker_dies_while_it_looks(
    tmp_path: Path, film: Path, url: str
) -> None:
    async with Client.open(url) as client, coordinating(url, modules=("tests.jobs.mortal_renditions",)):
        handle = await client.submit(mortal(film, tmp_path / "a", ["encoding sound", "digesting 360p", "digesting 480p"]))
        await handle.result(timeout=100)
        log = await texts(handle)

    finished = [line.split()[1].rstrip(":") for line in log if line.startswith("finished ")]
    assert finished == [*RENDITIONS, "sound"]


@pytest.mark.fault("process: a worker is killed at random points of media.hls")
@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_worker_costs_one_rendition_at_most(
    tmp_path: Path, film: Path, url: str, reports: int, seed: int
) -> None:
    drawn = random.Random(seed)  # noqa: S311 - not for secrets
    deaths = [drawn.randrange(1, REPORTS_AT_LEAST), *(drawn.randrange(1, reports) for _ in range(2))]

    async with Client.open(url) as client, coordinating(url, modules=("tests.jobs.mortal_renditions",)):
        handle = await client.submit(mortal(film, tmp_path / "a", deaths))
        result: HlsMade = await handle.result(timeout=100)
        ended = await endings(client, handle)
        log = await texts(handle)

    assert ended[-1] == Ending.SUCCEEDED
    assert len(ended) > 1
    assert set(ended[:-1]) == {Ending.CRASHED}
    finished = [line.split()[1].rstrip(":") for line in log if line.startswith("finished ")]
    assert finished == [*RENDITIONS, "sound"], deaths  # each once, whatever died in between
    for one in result.renditions:
        assert decoded(tmp_path / "a" / one.name / "playlist.m3u8", *HLS)[0] == one.frames == 300
    assert outputs(tmp_path) == {"a"}
