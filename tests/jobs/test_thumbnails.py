"""The film of these tests gets brighter each second, so that every picture shows which second it is of."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.errors import CancelRequested
from heavyjobs.jobs import MakeThumbnails, Progress
from heavyjobs.jobs.pictures import IMAGES, ImageName, read_ppm
from heavyjobs.jobs.sprites import tiles, usual_interval, web_vtt
from heavyjobs.jobs.thumbnails import Thumbnails
from heavyjobs.jobs.trouble import NotInstalled, Refused, SourceMissing, TargetTaken, TargetUnusable, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import failed_without_trace, ffmpeg, gray, make_clip
from tests.jobs.folders import listing

STEP = 18
"""How much brighter each second is."""


def thumbnails(source: Path, target: Path, **options: Any) -> Inline[Thumbnails, Progress, Trouble]:
    return run_inline(MakeThumbnails(source=str(source), target=str(target), **options))


def brightening(path: Path, *, seconds: int = 12, size: str = "160x120", extra: str = "") -> Path:
    graph = f"color=c=black:s={size}:r=10:d={seconds},geq=lum='16+{STEP}*floor(T)':cb=128:cr=128{extra}"
    ffmpeg("-f", "lavfi", "-i", graph, "-c:v", "libx264", "-g", "50", "-pix_fmt", "yuv420p", path)
    return path


def second_of(level: float) -> float:
    """Which second of the film is that bright: pictures use all of 0 to 255, films 16 to 235."""
    return level * 219 / 255 / STEP


def seconds_shown(folder: Path) -> list[float]:
    """By each cue of the WebVTT file: the second that the rectangle it names shows."""
    webvtt: Any = importlib.import_module("webvtt")
    found = []
    for cue in webvtt.read(str(folder / "tiles.vtt")):
        match = re.fullmatch(r"(tiles-\d+\.\w+)#xywh=(\d+),(\d+),(\d+),(\d+)", cue.text)
        assert match
        x, y, width, height = (int(number) for number in match.groups()[1:])
        across, down, pixels = gray(folder / match[1])
        assert x + width <= across
        assert y + height <= down
        rows = [pixels[row * across + x : row * across + x + width] for row in range(y, y + height)]
        found.append(second_of(sum(map(sum, rows)) / (width * height)))
    return found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brightening(tmp_path_factory.mktemp("clips") / "film.mp4")


@pytest.mark.parametrize("image", IMAGES)
def test_every_cue_points_at_a_picture_of_its_time(tmp_path: Path, film: Path, image: ImageName) -> None:
    result = thumbnails(film, tmp_path / "a", every=1, poster_at=3.5, image=image, tile_side=80).result

    assert seconds_shown(tmp_path / "a") == pytest.approx(list(range(12)), abs=0.2)
    assert (result.tiles, result.missing, result.every_seconds) == (12, 0, 1.0)
    assert (result.tile_width, result.tile_height) == (80, 60)
    width, height, pixels = gray(tmp_path / "a" / f"poster{IMAGES[image].suffix}")
    assert (width, height) == (result.poster.width, result.poster.height) == (160, 120)  # never made larger
    assert second_of(sum(pixels) / len(pixels)) == pytest.approx(3, abs=0.2)


def test_the_result_names_every_file_with_its_size_and_digest(tmp_path: Path, film: Path) -> None:
    result = thumbnails(film, tmp_path / "a").result

    files = {file.name: (file.bytes, file.sha256) for file in (result.poster, *result.sheets)}
    files[result.vtt] = ((tmp_path / "a" / result.vtt).stat().st_size, result.vtt_sha256)
    there = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (tmp_path / "a").iterdir()
    }
    assert there == files
    assert (result.sheets[0].width, result.sheets[0].height) == gray(tmp_path / "a" / "tiles-1.jpg")[:2] == (1600, 240)


def test_a_long_row_of_pictures_goes_on_on_the_next_sheet(tmp_path: Path, film: Path) -> None:
    result = thumbnails(film, tmp_path / "a", every=0.1, tile_side=16).result

    shown = seconds_shown(tmp_path / "a")
    assert [sheet.name for sheet in result.sheets] == ["tiles-1.jpg", "tiles-2.jpg"]
    assert [(sheet.width, sheet.height) for sheet in result.sheets] == [(160, 120), (160, 24)]
    assert len(shown) == 120
    assert shown == pytest.approx([number // 10 for number in range(120)], abs=0.3)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi", "mpg"])
def test_pictures_are_of_their_time_in_containers_without_an_index_too(tmp_path: Path, film: Path, suffix: str) -> None:
    how = ["-c:v", "mpeg2video", "-r", "25"] if suffix == "mpg" else ["-c", "copy"]
    ffmpeg("-i", film, *how, tmp_path / f"film.{suffix}")

    thumbnails(tmp_path / f"film.{suffix}", tmp_path / "a", every=1)

    assert seconds_shown(tmp_path / "a")[:11] == pytest.approx(list(range(11)), abs=0.3)


def test_a_picture_that_stands_for_long_is_seen_until_the_next(tmp_path: Path, film: Path) -> None:
    ffmpeg("-i", film, "-vf", "select='not(mod(n,50))',settb=1/10", "-fps_mode", "vfr", tmp_path / "slides.mp4")

    thumbnails(tmp_path / "slides.mp4", tmp_path / "a", every=1)

    assert seconds_shown(tmp_path / "a")[:9] == pytest.approx([0, 0, 0, 0, 0, 5, 5, 5, 5], abs=0.3)


def test_pictures_stand_upright_and_have_the_shape_that_is_seen(tmp_path: Path) -> None:
    brightening(tmp_path / "lying.mp4", seconds=2)
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "lying.mp4", "-c", "copy", tmp_path / "turned.mp4")
    brightening(tmp_path / "narrow.mp4", seconds=2, size="72x120", extra=",setsar=2/1")

    turned = thumbnails(tmp_path / "turned.mp4", tmp_path / "a", tile_side=40).result
    narrow = thumbnails(tmp_path / "narrow.mp4", tmp_path / "b", tile_side=48).result

    assert (turned.poster.width, turned.poster.height) == (120, 160)
    assert (turned.tile_width, turned.tile_height) == (30, 40)
    assert (narrow.poster.width, narrow.poster.height) == (144, 120)
    assert (narrow.tile_width, narrow.tile_height) == (48, 40)


def test_progress_counts_pictures(tmp_path: Path, film: Path) -> None:
    done = thumbnails(film, tmp_path / "a", every=2)

    small = [status for status in done.statuses if status.phase == "taking small pictures"]
    assert (small[-1].done, small[-1].total, small[-1].unit) == (6, 6, "frames")


def test_a_cancel_in_the_middle_leaves_no_folder(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(_: object, status: Progress) -> None:
        if status.phase == "taking small pictures" and status.done > 0:
            raise CancelRequested

    monkeypatch.setattr("heavyjobs.context.Context.report", cancel)
    with pytest.raises(CancelRequested):
        thumbnails(film, tmp_path / "a", every=0.1)

    assert listing(tmp_path) == {}


# -- what can be wrong


def test_bad_places_are_typed_errors_that_are_not_retried(tmp_path: Path, film: Path) -> None:
    (tmp_path / "taken").mkdir()
    cases: list[tuple[Path, Path, type]] = [
        (tmp_path / "no.mp4", tmp_path / "a", SourceMissing),
        (film, tmp_path / "taken", TargetTaken),
        (film, tmp_path / "no" / "a", TargetUnusable),
    ]

    for source, target, expected in cases:
        error, retry = failed_without_trace(tmp_path, lambda: thumbnails(source, target))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target)
        assert not retry
    assert thumbnails(film, tmp_path / "taken", overwrite=True, every=6).error is None
    assert (tmp_path / "taken" / "poster.jpg").is_file()


def test_what_shows_no_film_is_unreadable(tmp_path: Path, film: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.mp3")
    ffmpeg("-i", film, "-c", "copy", "-f", "h264", tmp_path / "bare.h264")
    (tmp_path / "none.mp4").write_bytes(os.urandom(5000))
    ffmpeg("-f", "lavfi", "-i", "color=s=4000x2:d=1", "-c:v", "ffv1", tmp_path / "line.mkv")
    cases = [
        ("sound.mp3", "has no video"),
        ("bare.h264", "does not say"),
        ("none.mp4", "is no media"),
        ("line.mkv", "shows nothing"),
    ]

    for name, what in cases:
        error, retry = failed_without_trace(tmp_path, lambda: thumbnails(tmp_path / name, tmp_path / "a"))  # noqa: B023
        assert isinstance(error, Unreadable), name
        assert error.what.startswith(what)
        assert not retry
    late, _ = failed_without_trace(tmp_path, lambda: thumbnails(film, tmp_path / "a", poster_at=12.5))
    assert isinstance(late, Unreadable)
    assert late.what == "shows nothing at 12.50 s of 12.00 s"


def test_where_the_film_is_damaged_the_picture_before_stands(tmp_path: Path, film: Path) -> None:
    ffmpeg("-i", film, "-c", "copy", "-movflags", "+faststart", tmp_path / "fast.mp4")
    data = bytearray((tmp_path / "fast.mp4").read_bytes())
    half = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    (tmp_path / "cut.mp4").write_bytes(data[:half])

    done = thumbnails(tmp_path / "cut.mp4", tmp_path / "a", every=1)

    assert 0 < done.result.missing < 12
    assert len(seconds_shown(tmp_path / "a")) == 12
    assert any("nothing can be seen at 11.50 s" in line for line in done.log)


@pytest.mark.fault("security: a video that names other files")
def test_a_playlist_called_mp4_shows_nothing_of_its_neighbours(tmp_path: Path, film: Path) -> None:
    ffmpeg("-i", film, "-c", "copy", "-f", "mpegts", tmp_path / "secret.ts")
    (tmp_path / "a.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n")

    error, _ = failed_without_trace(tmp_path, lambda: thumbnails(tmp_path / "a.mp4", tmp_path / "b"))

    assert isinstance(error, Unreadable)


def test_more_pictures_than_anyone_looks_at_are_refused(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=201, size="16x16", rate=1, sound=False)

    error, retry = failed_without_trace(tmp_path, lambda: thumbnails(tmp_path / "a.mp4", tmp_path / "b", every=0.1))

    assert isinstance(error, Refused)
    assert "2,010 small pictures" in error.what
    assert not retry


def test_without_ffmpeg_it_is_said_what_to_install(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(tmp_path / "none"))

    error, retry = failed_without_trace(tmp_path, lambda: thumbnails(film, tmp_path / "a"))

    assert isinstance(error, NotInstalled)
    assert retry


def test_parameters_out_of_bounds_are_refused_when_the_job_is_made() -> None:
    for options in ({"every": 0.01}, {"poster_at": -1}, {"poster_side": 5000}, {"tile_side": 8}, {"image": "gif"}):
        with pytest.raises(ValidationError):
            MakeThumbnails(source="a", target="b", **options)


def test_intervals_cover_a_film_from_end_to_end() -> None:
    for seconds, every in ((12.0, 1.0), (12.4, 1.0), (12.6, 1.0), (0.04, 1.0), (7200.0, usual_interval(7200.0))):
        cut = tiles(seconds, every=every)
        assert (cut[0].start, cut[-1].end) == (0.0, seconds)
        assert all(before.end == after.start for before, after in pairwise(cut))
        assert all(0 < tile.end - tile.start < 1.51 * every for tile in cut)


def test_clocks_of_long_films_have_hours() -> None:
    text = web_vtt(tiles(360_000.0, every=359_999.9996), sheets=["a.jpg"], width=16, height=9)

    assert text == "WEBVTT\n\n00:00:00.000 --> 100:00:00.000\na.jpg#xywh=0,0,16,9\n"


def test_half_a_picture_is_none() -> None:
    whole = b"P6\n2 1\n255\n" + bytes(6)

    assert read_ppm(whole) is not None
    assert [read_ppm(data) for data in (whole[:-1], b"", b"P6\n2 1\n", b"P5\n2 1\n255\n" + bytes(6))] == [None] * 4
