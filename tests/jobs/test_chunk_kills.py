"""Workers that are killed amid chunks: the next attempt does at most one interval again, and the result is right."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.jobs import Split
from heavyjobs.jobs.trouble import ChunksUnsound
from heavyjobs.model import Cancelled, Dead, Ending
from heavyjobs.store import open_store
from tests.jobs.chunk_kinds import INTERVAL_BYTES, JoinOften, SplitAndWait, SplitOften, VerifyAndDie
from tests.jobs.chunking import chunk_path, entries, noise, sha256sum, split, stored, verify
from tests.jobs.folders import listing
from tests.lifecycle.asking import AnyHandle, endings, said
from tests.lifecycle.hosts import Daemon

SIZE = 48 << 20
CHUNK_MAX = 256 << 10
KILLS = 8


@pytest.fixture
async def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/jobs.db"
    async with open_store(address) as store:
        await store.migrate()
    return address


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client.open(url) as client:
        yield client


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film"
    path.write_bytes(noise(SIZE))
    return path


def drawn(seed: int) -> list[int]:
    """A few moments at which the worker is killed, by how much is done."""
    draw = random.Random(seed)  # noqa: S311 - test data
    return sorted(draw.randrange(SIZE) for _ in range(KILLS))


def told(deaths: Path) -> list[int]:
    """How much was done at each death."""
    return [int(line) for line in deaths.read_text().split()]


async def went_on_at(handle: AnyHandle) -> dict[int, int]:
    """Where each claim that did not begin anew went on, by its own words."""
    said = [(line.claim, line.text.split()) async for line in handle.logs() if line.text.startswith("going on at byte ")]
    return {claim: int(words[4]) for claim, words in said}


async def most_lost(handle: AnyHandle, deaths: list[int]) -> int:
    """The most that any claim did again of what the ones before it had done."""
    went_on = await went_on_at(handle)
    assert went_on
    reached = dict(enumerate([*deaths, SIZE], 1))
    # A claim that was killed before it said where it goes on did nothing.
    worked = [claim for claim in reached if claim > 1 and (claim in went_on or reached[claim] > reached[claim - 1])]
    return max(reached[claim - 1] - went_on.get(claim, 0) for claim in worked)


async def test_a_split_goes_on_from_a_boundary_wherever_it_was_killed(
    client: Client, url: str, tmp_path: Path, film: Path
) -> None:
    (tmp_path / "calm").mkdir()
    calm = split(film, tmp_path / "calm").result
    job = SplitOften(
        source=str(film),
        target=str(tmp_path / "manifest"),
        chunks=str(tmp_path / "chunks"),
        chunk_bytes=64 << 10,
        die_at=drawn(seed=1),
        deaths=tmp_path / "deaths",
    )

    with Daemon(tmp_path / "host", url, modules=("tests.jobs.chunk_kinds",)):
        handle = await client.submit(job)
        result = await handle.result(timeout=60)

    deaths = told(tmp_path / "deaths")
    assert len(deaths) >= 3
    assert result.sha256 == calm.sha256 == sha256sum(tmp_path / "manifest")
    assert {path.name for path in stored(tmp_path)} == {path.name for path in stored(tmp_path / "calm")}
    assert not [path for path in (tmp_path / "chunks").iterdir() if path.name.startswith(".")]
    assert verify(tmp_path).error is None
    assert (await endings(client, handle)).count(Ending.CRASHED) == len(deaths)
    # What was stored after the last checkpoint is only read again, which counts four times less.
    assert await most_lost(handle, deaths) <= 4 * INTERVAL_BYTES + CHUNK_MAX
    assert result.new_bytes >= SIZE - len(deaths) * (INTERVAL_BYTES + CHUNK_MAX)


async def test_a_join_goes_on_from_a_chunk_wherever_it_was_killed(client: Client, url: str, tmp_path: Path, film: Path) -> None:
    split(film, tmp_path)
    (tmp_path / "out").mkdir()
    job = JoinOften(
        source=str(tmp_path / "manifest"),
        chunks=str(tmp_path / "chunks"),
        target=str(tmp_path / "out/again"),
        die_at=drawn(seed=2),
        deaths=tmp_path / "deaths",
    )

    with Daemon(tmp_path / "host", url, modules=("tests.jobs.chunk_kinds",)):
        handle = await client.submit(job)
        result = await handle.result(timeout=60)

    deaths = told(tmp_path / "deaths")
    assert len(deaths) >= 3
    assert result.sha256 == sha256sum(tmp_path / "out/again") == sha256sum(film)
    assert list(listing(tmp_path / "out")) == ["again"]
    assert await most_lost(handle, deaths) <= INTERVAL_BYTES + 2 * CHUNK_MAX


async def test_a_verify_that_was_killed_goes_on_and_forgets_nothing_that_it_found(
    client: Client, url: str, tmp_path: Path, film: Path
) -> None:
    split(film, tmp_path)
    first, last = entries(tmp_path / "manifest")[0]["sha256"], entries(tmp_path / "manifest")[-1]["sha256"]
    chunk_path(tmp_path, first).unlink()
    chunk_path(tmp_path, last).write_bytes(b"damaged")
    job = VerifyAndDie(source=str(tmp_path / "manifest"), chunks=str(tmp_path / "chunks"))

    with Daemon(tmp_path / "host", url, modules=("tests.jobs.chunk_kinds",)):
        handle = await client.submit(job)
        outcome = await handle.wait(timeout=60)

    assert isinstance(outcome, Dead)
    assert isinstance(outcome.error, ChunksUnsound)
    assert (outcome.error.missing, outcome.error.damaged) == ([first], [last])
    assert await endings(client, handle) == [Ending.CRASHED, Ending.FAILED]
    assert INTERVAL_BYTES <= (await went_on_at(handle))[2] <= INTERVAL_BYTES + CHUNK_MAX


async def test_a_verify_that_is_tried_again_after_a_repair_begins_anew(
    client: Client, url: str, tmp_path: Path, film: Path
) -> None:
    split(film, tmp_path)
    chunk_path(tmp_path, entries(tmp_path / "manifest")[0]["sha256"]).unlink()
    job = VerifyAndDie(source=str(tmp_path / "manifest"), chunks=str(tmp_path / "chunks"))

    with Daemon(tmp_path / "host", url, modules=("tests.jobs.chunk_kinds",)):
        handle = await client.submit(job)
        assert isinstance(await handle.wait(timeout=60), Dead)
        split(film, tmp_path, name="again")
        await handle.retry()
        result = await handle.result(timeout=60)

    assert result.bytes == SIZE


async def test_two_splits_of_one_file_at_once_share_its_chunks(client: Client, url: str, tmp_path: Path, film: Path) -> None:
    jobs = [
        Split(source=str(film), target=str(tmp_path / name), chunks=str(tmp_path / "chunks"), chunk_bytes=64 << 10)
        for name in ("one", "two")
    ]

    with Daemon(tmp_path / "host", url, modules=("heavyjobs.jobs",)):
        handles = await client.submit_many(jobs)
        one, two = [await handle.result(timeout=60) for handle in handles]

    assert one.sha256 == two.sha256
    assert one.new_bytes + two.new_bytes >= SIZE
    assert sum(path.stat().st_size for path in stored(tmp_path)) == SIZE
    for name in ("one", "two"):
        assert verify(tmp_path, name=name).error is None


async def test_a_split_that_was_cancelled_leaves_whole_chunks_and_goes_on_when_it_is_tried_again(
    client: Client, url: str, tmp_path: Path, film: Path
) -> None:
    job = SplitAndWait(
        source=str(film), target=str(tmp_path / "manifest"), chunks=str(tmp_path / "chunks"), chunk_bytes=64 << 10
    )

    with Daemon(tmp_path / "host", url, modules=("tests.jobs.chunk_kinds",)):
        handle = await client.submit(job)
        await said(handle, "waiting")
        cancelled = await handle.cancel(grace="5s")
        left = {path.name for path in stored(tmp_path)}
        damaged = [path for path in stored(tmp_path) if path.name != "list" and sha256sum(path) != path.name]
        await handle.retry()
        result = await handle.result(timeout=60)

    assert isinstance(cancelled, Cancelled)
    assert not damaged
    assert INTERVAL_BYTES // CHUNK_MAX < len(left - {"list"}) < result.chunks // 2
    assert "list" in left
    assert list((await went_on_at(handle)).keys()) == [2]
    assert verify(tmp_path).error is None
    assert not [path for path in (tmp_path / "chunks").iterdir() if path.name.startswith(".")]
