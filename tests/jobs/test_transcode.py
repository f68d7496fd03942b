"""Outputs are decoded with ffmpeg itself; the clips are made by it too, a second or two long."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.errors import CancelRequested
from heavyjobs.jobs import Progress, Transcode
from heavyjobs.jobs.media import find_ffmpeg
from heavyjobs.jobs.presets import PRESETS, PresetName
from heavyjobs.jobs.transcode import Transcoded
from heavyjobs.jobs.trouble import NotInstalled, Refused, SourceMissing, TargetTaken, TargetUnusable, Trouble, Unreadable
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import FFMPEG, decoded, failed_without_trace, ffmpeg, make_clip
from tests.jobs.folders import listing

Done = Inline[Transcoded, Progress, Trouble]


def transcode(source: Path, target: Path, **options: Any) -> Done:
    return run_inline(Transcode(source=str(source), target=str(target), **options))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_what_decodes_to_the_same_length(tmp_path: Path, clip: Path, preset: PresetName) -> None:
    target = tmp_path / f"out{PRESETS[preset].suffixes[0]}"

    result = transcode(clip, target, preset=preset).result

    frames, seconds = decoded(target)
    assert frames == result.frames == (50 if PRESETS[preset].video else 0)
    assert seconds == pytest.approx(2.0, abs=0.1)
    assert result.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert (result.width, result.height) == ((160, 120) if PRESETS[preset].video else (None, None))
    assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (result.bytes, result.source_bytes) == (target.stat().st_size, clip.stat().st_size)


def test_options_change_size_and_quality(tmp_path: Path, clip: Path) -> None:
    good = transcode(clip, tmp_path / "good.mp4", crf=10).result
    small = transcode(clip, tmp_path / "small.mp4", height=60, crf=40, audio_kbps=32).result
    same = transcode(clip, tmp_path / "same.mp4", height=1080).result

    assert (small.width, small.height) == (80, 60)
    assert small.bytes < good.bytes / 2
    assert (same.width, same.height) == (160, 120)  # never made larger


def test_odd_sizes_silent_clips_and_hostile_names_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "odd.mkv", seconds=1, size="161x121", sound=False)
    for name in ("-y -i.mkv", "100%03d.mkv", "pipe:1.mkv", "new\nline.mkv", "ünï 'q\" $(x).mkv"):
        odd = source.rename(tmp_path / name)
        target = odd.with_suffix(".mp4")

        result = transcode(odd, target).result

        assert (result.width, result.height) == (160, 120)
        frames, seconds = decoded(Path(f"file:{target}"))
        assert frames == 25
        assert seconds == pytest.approx(1.0, abs=0.1)
        source = odd


def test_progress_is_in_seconds_of_the_film(tmp_path: Path, clip: Path) -> None:
    done = transcode(clip, tmp_path / "a.mp4")

    film = [status for status in done.statuses if status.phase == "transcoding"]
    assert {status.unit for status in film} == {"seconds"}
    assert film[-1].total == pytest.approx(2.0, abs=0.1)
    assert film[-1].done == pytest.approx(2.0, abs=0.1)
    assert film[-1].item == "frame 50"
    assert any(line.startswith("transcoding") for line in done.log)


def test_a_cancel_in_the_middle_leaves_neither_ffmpeg_nor_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "long.mp4", seconds=30, size="320x240")
    before = listing(tmp_path)
    monkeypatch.setenv("HEAVYJOBS_TEST", str(tmp_path))

    def cancel(_: object, status: Progress) -> None:
        if status.phase == "transcoding" and status.done > 0:
            raise CancelRequested

    monkeypatch.setattr("heavyjobs.context.Context.report", cancel)
    with pytest.raises(CancelRequested):
        transcode(source, tmp_path / "a.webm", preset="webm-vp9-opus")

    assert listing(tmp_path) == before
    running = [path for path in Path("/proc").glob("[0-9]*/environ") if _reads(path, f"HEAVYJOBS_TEST={tmp_path}")]
    assert running == [] or running == [Path(f"/proc/{os.getpid()}/environ")]


def _reads(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except OSError:
        return False


# -- what can be wrong


def test_bad_places_are_typed_errors_that_are_not_retried(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "taken.mp4").write_text("old")
    cases: list[tuple[Path, Path, type]] = [
        (tmp_path / "no.mp4", tmp_path / "a.mp4", SourceMissing),
        (tmp_path, tmp_path / "a.mp4", SourceMissing),
        (Path("/dev/zero"), tmp_path / "a.mp4", SourceMissing),
        (clip, tmp_path / "taken.mp4", TargetTaken),
        (clip, tmp_path / "a.webm", TargetUnusable),
        (clip, tmp_path / "a", TargetUnusable),
        (clip, tmp_path / "no" / "a.mp4", TargetUnusable),
    ]

    for source, target, expected in cases:
        error, retry = failed_without_trace(tmp_path, lambda: transcode(source, target))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target)
        assert not retry
    assert transcode(clip, tmp_path / "taken.mp4", overwrite=True).error is None


@pytest.mark.parametrize("content", [b"", b"just a text\n" * 50, os.urandom(5000), b"\0\0\0\x20ftypisom" + bytes(100)])
def test_a_video_that_is_none_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)

    error, retry = failed_without_trace(tmp_path, lambda: transcode(tmp_path / "a.mp4", tmp_path / "b.mp4"))

    assert isinstance(error, Unreadable)
    assert not retry


@pytest.mark.fault("security: a video that names other files")
def test_a_playlist_called_mp4_does_not_read_its_neighbours(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-c", "copy", "-f", "mpegts", tmp_path / "secret.ts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{tmp_path}/secret.ts'\n"

    for text in (playlist, concat):
        for name in ("a.mp4", "a.m3u8", "a.ffconcat"):
            (tmp_path / name).write_text(text)
            error, _ = failed_without_trace(tmp_path, lambda: transcode(tmp_path / name, tmp_path / "b.mp4"))  # noqa: B023
            assert isinstance(error, Unreadable)


def test_a_video_that_ends_before_its_time_is_unreadable(tmp_path: Path, clip: Path) -> None:
    data = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])

    error, retry = failed_without_trace(tmp_path, lambda: transcode(tmp_path / "cut.mp4", tmp_path / "a.mp4"))

    assert isinstance(error, Unreadable)
    assert "can be decoded" in error.what
    assert not retry


def test_a_stream_that_the_preset_wants_has_to_be_there(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-vn", tmp_path / "sound.mp3")
    silent = make_clip(tmp_path / "silent.mp4", sound=False)

    no_video, _ = failed_without_trace(tmp_path, lambda: transcode(tmp_path / "sound.mp3", tmp_path / "a.mp4"))
    no_audio, _ = failed_without_trace(tmp_path, lambda: transcode(silent, tmp_path / "a.opus", preset="audio-opus"))

    assert isinstance(no_video, Unreadable)
    assert no_video.what == "has no video stream"
    assert isinstance(no_audio, Unreadable)
    assert no_audio.what == "has no audio stream"


def test_places_outside_of_the_locations_are_refused(tmp_path: Path, clip: Path) -> None:
    fleet = Locations({"clips": str(clip.parent)}, plain=False)

    error = run_inline(Transcode(source=str(clip), target="clips:a.mp4"), locations=fleet).error

    assert isinstance(error, Refused)
    assert not list(clip.parent.glob("*a.mp4*"))


def test_parameters_that_do_not_fit_the_preset_are_refused_when_the_job_is_made() -> None:
    for options in ({"crf": 60}, {"crf": -1}, {"height": 5}, {"audio_kbps": 9999}, {"preset": "nope"}):
        with pytest.raises(ValidationError):
            Transcode(source="a", target="b", **options)
    with pytest.raises(ValidationError, match="makes no video"):
        Transcode(source="a", target="b", preset="audio-opus", height=120)
    with pytest.raises(ValidationError, match="keeps all bits"):
        Transcode(source="a", target="b", preset="audio-flac", audio_kbps=128)


def test_which_ffmpeg_is_used_and_what_is_said_when_there_is_none(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == FFMPEG
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(tmp_path / "mine"))
    error, retry = failed_without_trace(tmp_path, lambda: transcode(clip, tmp_path / "a.mp4"))
    assert isinstance(error, NotInstalled)
    assert retry  # another host may have it
    (tmp_path / "mine").symlink_to(FFMPEG)
    assert find_ffmpeg() == str(tmp_path / "mine")
    (tmp_path / "ffmpeg").symlink_to(FFMPEG)
    monkeypatch.delenv("HEAVYJOBS_FFMPEG")
    assert find_ffmpeg() == str(tmp_path / "ffmpeg")


def test_an_ffmpeg_without_the_encoder_is_named(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "poor"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) echo "Unknown encoder \'libx264\'" >&2; exit 8;; esac\nexec {FFMPEG} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))

    error, retry = failed_without_trace(tmp_path, lambda: transcode(clip, tmp_path / "a.mp4"))

    assert isinstance(error, NotInstalled)
    assert "has no encoder" in error.what
    assert retry


def test_av1_is_made_by_whichever_encoder_ffmpeg_has(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "poor"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *libsvtav1*) echo "Unknown encoder \'libsvtav1\'" >&2; exit 8;; esac\nexec {FFMPEG} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))

    result = transcode(clip, tmp_path / "a.webm", preset="webm-av1-opus").result

    assert result.frames == decoded(tmp_path / "a.webm")[0] == 50
    assert "Video: av1" in ffmpeg("-i", tmp_path / "a.webm", "-f", "null", "-")
