"""Deaths in the middle of a film that is cut into pieces: what is done is not done again, and nothing is left behind."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from heavyjobs import Client, Handle
from heavyjobs.job import JobConfig
from heavyjobs.jobs import ChunkedTranscode
from heavyjobs.jobs.chunked import ChunkedTranscoded, Kept
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import Trouble
from heavyjobs.model import Cancelled, Ending, JobRecord, JobState
from heavyjobs.testing.inline import run_inline_async
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import ALIKE, difference, ffmpeg, film, packaged_ffmpeg, pictures
from tests.lifecycle.asking import endings, until
from tests.lifecycle.hosts import HASTY, Daemon, gone

Chunked = Handle[ChunkedTranscoded, Progress, Trouble]
HOW: dict[str, Any] = {**HASTY, "modules": ("heavyjobs.jobs",), "workers": {"environment": ["HEAVYJOBS_FFMPEG", "TESTED_*"]}}


@pytest.fixture(autouse=True)
def packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", packaged_ffmpeg())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pieces, each of which takes a moment to encode."""
    folder = tmp_path_factory.mktemp("source")
    large = ("-vf", "scale=480:360", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    ffmpeg("-i", film(folder / "small.mp4", seconds=8), *large, "-c:a", "copy", folder / "film.mp4")
    return folder / "film.mp4"


@pytest.fixture
async def submitted(client: Client, source: Path, tmp_path: Path) -> Chunked:
    """A film that is to be cut, in a folder of its own."""
    (tmp_path / "films").mkdir()
    return await submit(client, source, tmp_path / "films" / "out.webm")


async def submit(client: Client, source: Path, target: Path) -> Chunked:
    job = ChunkedTranscode(source=str(source), target=str(target), preset="webm-vp9-opus", piece_seconds=1)
    handle = await client.submit_kind(
        job.kind, job.model_dump(), config=JobConfig(attempts=9, backoff="50ms", backoff_max="50ms")
    )
    return client.handle(handle.id, ChunkedTranscode)


async def pieces(client: Client, parent: Chunked) -> list[JobRecord]:
    return [child for child in await client.list(parent=parent.id) if child.kind == "media.piece"]


def done(client: Client, parent: Chunked, *, least: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many pieces are done, and not all of them."""

    async def are() -> bool:
        states = [piece.state for piece in await pieces(client, parent)]
        assert len(states) < 8 or states.count(JobState.SUCCEEDED) < 8, "too late"
        return states.count(JobState.SUCCEEDED) >= least

    return are


async def assert_each_piece_was_done_once(client: Client, parent: Chunked) -> None:
    found = await pieces(client, parent)
    assert len(found) == 8
    for piece in found:
        ends = [one.ending for one in await client.invocations(piece.id)]
        assert ends.count(Ending.SUCCEEDED) == 1
        assert ends[-1] is Ending.SUCCEEDED


def assert_whole(source: Path, target: Path) -> None:
    """The film is there, picture by picture, and nothing else is."""
    before, after = pictures(source), pictures(target)
    assert len(after) == len(before)
    assert all(difference(one, other) < ALIKE for one, other in zip(before, after, strict=True))
    assert set(listing(target.parent)) == {target.name}


@pytest.mark.fault("process: the workers of a film in pieces are killed at random")
async def test_workers_killed_at_random_cost_the_pieces_they_were_at_and_no_others(
    client: Client, url: str, source: Path, submitted: Chunked, tmp_path: Path
) -> None:
    chance = random.Random(4)  # noqa: S311 - which process is killed, the same ones each time
    with Daemon(tmp_path / "host", url, **HOW) as daemon:
        for least in (1, 2, 3):
            await until(done(client, submitted, least=least))
            await until(lambda: killed_one(daemon, chance))

        made = await submitted.result(timeout=60)

    assert made.pieces == 8
    assert_whole(source, tmp_path / "films" / "out.webm")
    await assert_each_piece_was_done_once(client, submitted)


def killed_one(daemon: Daemon, chance: random.Random) -> bool:
    """Kill a worker that runs a program, if one still does once it has been found."""
    programs = sorted(daemon.programs(), key=lambda program: program.pid)
    with suppress(psutil.NoSuchProcess):
        victim = chance.choice(programs).parent() if programs else None
        if victim is not None and victim in daemon.workers():
            victim.kill()
            return True
    return False


@pytest.mark.fault("process: the lane on which a film in pieces waits is killed")
async def test_a_parent_whose_own_process_dies_goes_on_with_the_pieces_that_are_there(
    client: Client, url: str, source: Path, submitted: Chunked, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url, **HOW) as daemon:
        await until(done(client, submitted, least=2))
        before = {piece.id for piece in await pieces(client, submitted)}
        for worker in idle_workers(daemon):
            worker.kill()

        await submitted.result(timeout=60)

    assert_whole(source, tmp_path / "films" / "out.webm")
    assert {piece.id for piece in await pieces(client, submitted)} == before
    assert await endings(client, submitted) == [Ending.CRASHED, Ending.SUCCEEDED]
    await assert_each_piece_was_done_once(client, submitted)


def idle_workers(daemon: Daemon) -> list[psutil.Process]:
    """Those that run no program: the lane is one of them."""
    busy = {parent.pid for program in daemon.programs() if (parent := program.parent()) is not None}
    return [worker for worker in daemon.server().children() if worker.pid not in busy]


@pytest.mark.fault("process: the coordinator of a film in pieces is killed")
async def test_a_killed_coordinator_costs_no_piece_that_was_done(
    client: Client, url: str, source: Path, submitted: Chunked, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "first", url, **HOW) as first:
        await until(done(client, submitted, least=3))
        family = first.family()
        first.signal(signal.SIGKILL)
        await gone(family, within=20)
    before = {piece.id for piece in await pieces(client, submitted) if piece.state is JobState.SUCCEEDED}

    with Daemon(tmp_path / "second", url, **HOW):
        made = await submitted.result(timeout=60)

    assert made.pieces == 8
    assert len(before) >= 3
    assert_whole(source, tmp_path / "films" / "out.webm")
    for piece in await pieces(client, submitted):
        if piece.id in before:
            assert [one.ending for one in await client.invocations(piece.id)] == [Ending.SUCCEEDED]
    await assert_each_piece_was_done_once(client, submitted)


async def test_a_host_that_drains_hands_the_film_on_with_its_pieces(
    client: Client, url: str, source: Path, submitted: Chunked, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "first", url, **HOW) as first:
        await until(done(client, submitted, least=2))
        first.signal(signal.SIGTERM)
        await first.ended()
    before = {piece.id for piece in await pieces(client, submitted)}

    with Daemon(tmp_path / "second", url, **HOW):
        await submitted.result(timeout=60)

    assert {piece.id for piece in await pieces(client, submitted)} == before
    assert_whole(source, tmp_path / "films" / "out.webm")
    await assert_each_piece_was_done_once(client, submitted)


async def test_two_hosts_share_the_pieces_of_one_film(client: Client, url: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    with Daemon(tmp_path / "one", url, slots=1, **HOW) as one, Daemon(tmp_path / "other", url, slots=1, **HOW) as other:
        for host in (one, other):  # or the first one there might do it all
            await host.says("session begins")
        submitted = await submit(client, source, tmp_path / "films" / "out.webm")
        await submitted.result(timeout=60)

    made_by = {(await client.invocations(piece.id))[0].session for piece in await pieces(client, submitted)}
    assert len(made_by) == 2
    assert_whole(source, tmp_path / "films" / "out.webm")


@pytest.mark.fault("people: a film in pieces is cancelled")
async def test_a_cancel_ends_all_pieces_and_leaves_neither_ffmpeg_nor_a_file(
    client: Client, url: str, submitted: Chunked, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url, **HOW) as daemon:
        await until(done(client, submitted, least=1))
        await until(lambda: bool(daemon.programs()))

        assert await submitted.cancel() == Cancelled()

        async def ended() -> bool:
            return all(child.state.ended for child in await client.list(parent=submitted.id))

        await until(ended)
        await until(lambda: not daemon.programs())
    assert listing(tmp_path / "films") == {}


@pytest.mark.fault("input: a film changes while its pieces are made")
async def test_a_source_that_changes_meanwhile_is_begun_anew(client: Client, url: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    changing = tmp_path / "changing.mp4"
    shutil.copyfile(source, changing)
    handle = await submit(client, changing, tmp_path / "films" / "out.webm")
    with Daemon(tmp_path / "host", url, **HOW):
        await until(done(client, handle, least=1))
        shutil.copyfile(film(tmp_path / "other.mp4", seconds=3), changing)

        made = await handle.result(timeout=60)

    assert made.frames == 75
    assert_whole(changing, tmp_path / "films" / "out.webm")


async def test_an_attempt_that_died_after_it_had_published_is_found_to_be_done(
    client: Client, url: str, source: Path, submitted: Chunked, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url, **HOW):
        made = await submitted.result(timeout=60)
    job = ChunkedTranscode(source=str(source), target=made.target, preset="webm-vp9-opus", piece_seconds=1)
    kept = Kept(mark="0" * 8, made=made)

    again = await run_inline_async(job, checkpoint=kept, attempt=2)

    assert again.result == made
