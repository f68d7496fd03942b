"""Whole families of real jobs on a real coordinator; what comes out is compared with the source, picture by picture."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from heavyjobs import Client, Dead, JobConfig, Outcome, Reported, Succeeded
from heavyjobs.errors import JobDead
from heavyjobs.jobs import ChunkedTranscode, Transcode
from heavyjobs.jobs.chunked import ChunkedTranscoded
from heavyjobs.jobs.trouble import NotInstalled, SourceMissing, TargetTaken, TargetUnusable, Trouble, Unreadable
from heavyjobs.store import open_store
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import ALIKE, difference, ffmpeg, film, packaged_ffmpeg, pictures, times
from tests.lifecycle.hosts import Daemon, coordinating

HOW: dict[str, Any] = {"modules": ("heavyjobs.jobs",), "workers": {"environment": ["HEAVYJOBS_FFMPEG"]}}
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
X264 = ("-c:v", "libx264", "-preset", "veryfast")


@pytest.fixture(scope="module", autouse=True)
def packaged() -> Any:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEAVYJOBS_FFMPEG", packaged_ffmpeg())
        yield


@pytest.fixture
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """Of a coordinator with two slots, in this process."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database')}/jobs.db"
    async with open_store(url) as store:
        await store.migrate()
    async with coordinating(url, **HOW), Client.open(url) as client:
        yield client


async def transcode(client: Client, source: Path, target: Path, **options: Any) -> ChunkedTranscoded:
    job = ChunkedTranscode(source=str(source), target=str(target), piece_seconds=1.5, **options)
    return await (await client.submit(job)).result(timeout=60)


async def ended(client: Client, source: Path, target: Path, **options: Any) -> Outcome[ChunkedTranscoded, Trouble] | None:
    job = ChunkedTranscode(source=str(source), target=str(target), piece_seconds=1.5, **options)
    return await (await client.submit(job)).wait(timeout=60)


def assert_same_film(source: Path, target: Path) -> None:
    """Every picture is there once, at its place, none taken for a neighbour; and decoding times ascend."""
    before, after = pictures(source), pictures(target)
    assert len(after) == len(before)
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        assert difference(one, other) < ALIKE, number
    assert all(difference(one, other) > ALIKE for one, other in pairwise(before)), "the film is of no use for this"
    decoded = times(target, "0:V:0").decoded
    assert all(one < other for one, other in pairwise(decoded))


def from_zero(path: Path) -> list[float]:
    shown = sorted(times(path, "0:V:0").shown)
    return [float(one - shown[0]) for one in shown]


SOURCES = {
    "closed.mp4": (*X264, "-g", "15"),
    "long start.ts": (*X264, "-g", "15", "-muxdelay", "5"),
    "coarse clock.mkv": (*X264, "-g", "15"),
    "open.mkv": (*X264, "-g", "15", "-x264-params", "open-gop=1:bframes=3"),
    "open.ts": (*X264, "-g", "15", "-x264-params", "open-gop=1:bframes=3"),
    "open hevc.mp4": (*X265, "log-level=error:keyint=15:min-keyint=15:open-gop=1:bframes=3"),
    "ten bits.mkv": (*X265, "log-level=error:keyint=15", "-pix_fmt", "yuv420p10le"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "15", "-c:a", "libopus"),
    "every frame a key.mov": ("-c:v", "mjpeg", "-q:v", "3"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
async def test_a_film_that_can_be_cut_comes_out_with_every_picture_at_its_place(
    client: Client, tmp_path: Path, name: str
) -> None:
    source, target = film(tmp_path / name, *SOURCES[name]), tmp_path / "out.mp4"

    made = await transcode(client, source, target)

    assert made.pieces == 4
    assert made.whole_because is None
    assert_same_film(source, target)
    assert from_zero(target) == pytest.approx(from_zero(source), abs=0.0021), "of a millisecond clock at both ends"
    assert made.frames == len(pictures(target))
    assert made.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (made.bytes, made.source_bytes) == (target.stat().st_size, source.stat().st_size)
    assert (made.width, made.height) == (160, 120)
    assert made.duration_seconds == pytest.approx(6, abs=0.04)
    assert set(listing(tmp_path)) == {name, "out.mp4"}


async def test_a_rate_that_is_no_whole_number_stays_exact(client: Client, tmp_path: Path) -> None:
    ntsc = ("-r", "30000/1001", *X264, "-g", "15")
    source = film(tmp_path / "ntsc.mkv", *ntsc, filters="setpts=N*1001/30000/TB", sound=False)

    made = await transcode(client, source, tmp_path / "out.mp4")

    assert made.pieces == 3
    assert_same_film(source, tmp_path / "out.mp4")
    beats = [number * 1001 / 30000 for number in range(150)]
    assert from_zero(tmp_path / "out.mp4") == pytest.approx(beats, abs=1e-6), "the millisecond clock of the source is gone"


async def test_frames_at_a_varying_rate_keep_their_times(client: Client, tmp_path: Path) -> None:
    vary = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", *X264, "-g", "10")
    gaps = "settb=1/90000,select=not(eq(mod(n\\,7)\\,3)),setpts=PTS+0.012*sin(N*1.7)/TB"
    source = film(tmp_path / "varying.mp4", *vary, filters=gaps)

    made = await transcode(client, source, tmp_path / "out.mp4")

    assert made.pieces > 1
    assert_same_film(source, tmp_path / "out.mp4")
    assert from_zero(tmp_path / "out.mp4") == pytest.approx(from_zero(source), abs=0.0001)
    steps = {round(after - before, 3) for before, after in pairwise(from_zero(source))}
    assert len(steps) > 5, "it does vary"


async def test_webm_pieces_are_joined_too(client: Client, tmp_path: Path) -> None:
    source, target = film(tmp_path / "film.mp4"), tmp_path / "out.webm"

    made = await transcode(client, source, target, preset="webm-vp9-opus", height=60)

    assert made.pieces == 4
    assert (made.width, made.height) == (80, 60)
    assert_same_film(source, target)


@pytest.mark.parametrize("late", ["picture", "sound", "neither"])
@pytest.mark.parametrize("preset", ["mp4-h264-aac", "webm-vp9-opus"])
async def test_sound_and_picture_begin_as_they_do_in_a_film_that_is_transcoded_whole(
    client: Client, tmp_path: Path, late: str, preset: Any
) -> None:
    plain, source = film(tmp_path / "plain.mkv"), tmp_path / "film.mkv"
    delays = {"picture": ("0.4", "0"), "sound": ("0", "0.4"), "neither": ("0", "0")}[late]
    both: list[str | Path] = ["-itsoffset", delays[0], "-i", plain, "-itsoffset", delays[1], "-i", plain]
    ffmpeg(*both, "-map", "0:v", "-map", "1:a", "-c", "copy", source)
    suffix = preset.partition("-")[0]
    cut, whole = tmp_path / f"cut.{suffix}", tmp_path / f"whole.{suffix}"

    made = await transcode(client, source, cut, preset=preset)
    await (await client.submit(Transcode(source=str(source), target=str(whole), preset=preset))).result(timeout=60)

    assert made.pieces == 4
    for stream in ("0:V:0", "0:a:0"):
        assert float(min(times(cut, stream).shown)) == pytest.approx(float(min(times(whole, stream).shown)), abs=0.002)
        assert float(max(times(cut, stream).shown)) == pytest.approx(float(max(times(whole, stream).shown)), abs=0.041)
    assert len(times(cut, "0:a:0").shown) == len(times(whole, "0:a:0").shown)


async def test_a_film_without_sound_stays_without(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "silent.mp4", sound=False)

    made = await transcode(client, source, tmp_path / "out.mp4")

    assert made.pieces == 4
    assert_same_film(source, tmp_path / "out.mp4")
    assert b"Audio" not in ffmpeg("-i", tmp_path / "out.mp4", "-map", "0", "-c", "copy", "-f", "framecrc", "-")


UNCUT = {
    "no times.avi": ((*X264, "-g", "15", "-bf", "2"), "the file does not say when its frames are shown"),
    "bare.h264": ((*X264, "-g", "15", "-an"), "the file does not say when its frames are shown"),
    "one key.mp4": ((*X264, "-g", "1000", "-sc_threshold", "0"), "it has no keyframe to cut at"),
    "refreshed.ts": ((*X264, "-x264-params", "intra-refresh=1:keyint=15"), "its pieces do not begin cleanly"),
}


@pytest.mark.parametrize("name", UNCUT)
async def test_a_film_that_cannot_be_cut_is_transcoded_whole_and_says_why(client: Client, tmp_path: Path, name: str) -> None:
    encoder, why = UNCUT[name]
    source, target = film(tmp_path / name, *encoder), tmp_path / "out.mp4"

    made = await transcode(client, source, target)

    assert (made.pieces, made.whole_because) == (1, why)
    assert_same_film(source, target)
    assert (made.target, made.path) == (str(target), str(target))
    assert made.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert set(listing(tmp_path)) == {name, "out.mp4"}


async def test_a_film_whose_pictures_change_their_size_is_transcoded_whole(client: Client, tmp_path: Path) -> None:
    small = film(tmp_path / "small.ts", seconds=3, sound=False)
    large = ["-vf", "scale=320:240", *X264, "-g", "15", "-output_ts_offset", "3.08"]
    ffmpeg("-i", small, *large, tmp_path / "large.ts")
    source = tmp_path / "both.ts"
    source.write_bytes(small.read_bytes() + (tmp_path / "large.ts").read_bytes())

    made = await transcode(client, source, tmp_path / "out.mp4")

    assert made.whole_because == "its pictures change their size"
    assert (made.width, made.height) == (160, 120)


async def test_a_short_film_and_sound_alone_are_one_piece(client: Client, tmp_path: Path) -> None:
    short = await transcode(client, film(tmp_path / "short.mp4", seconds=2), tmp_path / "out.mp4")
    sound = await transcode(client, tmp_path / "short.mp4", tmp_path / "out.opus", preset="audio-opus")

    assert short.whole_because == "it is no longer than a piece"
    assert (sound.pieces, sound.whole_because) == (1, "sound is transcoded whole")


async def test_the_status_sums_what_all_pieces_have_done(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", seconds=12)
    job = ChunkedTranscode(source=str(source), target=str(tmp_path / "out.mp4"), piece_seconds=3, crf=10)
    handle = await client.submit(job)

    async with asyncio.timeout(60):
        seen = [update.status async for update in handle.watch() if isinstance(update, Reported)]

    film_seconds = [status for status in seen if status.phase == "transcoding"]
    assert {(status.unit, status.total) for status in film_seconds} == {("seconds", 12.0)}
    done = [status.done for status in film_seconds]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(12, abs=0.1)
    assert isinstance(await handle.wait(timeout=5), Succeeded)


async def test_children_wait_in_the_queue_of_their_parent_and_nothing_is_done_twice(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")
    job = ChunkedTranscode(source=str(source), target=str(tmp_path / "out.mp4"), piece_seconds=1.5, threads_per_piece=2)
    handle = await client.submit(job)
    await handle.result(timeout=60)

    children = await client.list(parent=handle.id)

    assert Counter(child.kind for child in children) == {
        "media.survey": 1,
        "media.sound": 1,
        "media.piece": 4,
        "media.join": 1,
    }
    assert {child.claim for child in children} == {1}
    assert {child.policy.cpus for child in children if child.kind == "media.piece"} == {2}


# -- what can be wrong


async def failed_without_trace(client: Client, folder: Path, source: Path, target: Path, **options: Any) -> Trouble | None:
    before = listing(folder)
    outcome = await ended(client, source, target, **options)
    assert isinstance(outcome, Dead)
    assert listing(folder) == before
    return outcome.error


async def test_bad_places_are_typed_errors_that_are_not_retried(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", seconds=4)
    (tmp_path / "taken.mp4").write_text("old")
    cases: list[tuple[Path, Path, type]] = [
        (tmp_path / "no.mp4", tmp_path / "a.mp4", SourceMissing),
        (tmp_path, tmp_path / "a.mp4", SourceMissing),
        (source, tmp_path / "taken.mp4", TargetTaken),
        (source, tmp_path / "a.webm", TargetUnusable),
        (source, tmp_path / "no" / "a.mp4", TargetUnusable),
    ]

    for bad_source, target, expected in cases:
        assert isinstance(await failed_without_trace(client, tmp_path, bad_source, target), expected)
    assert (await transcode(client, source, tmp_path / "taken.mp4", overwrite=True)).pieces > 1


@pytest.mark.fault("security: a video that names other files")
async def test_what_is_no_film_is_unreadable_playlists_among_it(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "film.ts")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{source}'\n")
    (tmp_path / "text.mp4").write_text("just a text\n" * 50)

    for name in ("list.mp4", "text.mp4"):
        assert isinstance(await failed_without_trace(client, tmp_path, tmp_path / name, tmp_path / "a.mp4"), Unreadable)


async def test_a_film_that_ends_before_its_time_is_unreadable(client: Client, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", *X264, "-g", "15", "-movflags", "+faststart")
    data = source.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])

    assert isinstance(await failed_without_trace(client, tmp_path, tmp_path / "cut.mp4", tmp_path / "a.mp4"), Unreadable)


async def test_a_death_of_a_piece_is_told_with_its_cause_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = film(tmp_path / "film.mp4", seconds=4)
    poor = tmp_path_factory.mktemp("bin") / "poor"
    poor.write_text(
        '#!/bin/sh\ncase "$*" in *libx264*) echo "Unknown encoder \'libx264\'" >&2; exit 8;; esac\n'
        f'exec {packaged_ffmpeg()} "$@"\n'
    )
    poor.chmod(0o755)
    url = f"sqlite:///{poor.parent}/jobs.db"
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(poor))
    async with open_store(url) as store:
        await store.migrate()
    with Daemon(poor.parent / "host", url, **HOW):  # a process of its own, for its environment
        async with Client.open(url) as own:
            job = ChunkedTranscode(source=str(source), target=str(tmp_path / "a.mp4"), piece_seconds=1.5)
            handle = await own.submit_kind(job.kind, job.model_dump(), config=JobConfig(attempts=1))
            with pytest.raises(JobDead) as raised:
                await own.handle(handle.id, ChunkedTranscode).result(timeout=60)

    assert isinstance(raised.value.error, NotInstalled)
    assert "has no encoder" in raised.value.error.what
    assert set(listing(tmp_path)) == {"film.mp4"}


def test_parameters_that_do_not_fit_the_preset_are_refused_when_the_job_is_made() -> None:
    for options in ({"crf": 60}, {"height": 5}, {"piece_seconds": 0}, {"threads_per_piece": 0}, {"preset": "nope"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ChunkedTranscode(source="a", target="b", **options)
    with pytest.raises(ValueError, match="makes no video"):
        ChunkedTranscode(source="a", target="b", preset="audio-opus", height=120)
