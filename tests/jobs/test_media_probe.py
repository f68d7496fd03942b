"""What `media.probe` says is what a clip was made as; PyAV answers, whatever this machine has."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs import Probe, Progress
from heavyjobs.jobs.facts import Facts, read_facts
from heavyjobs.jobs.media_probe import ProbedMedia
from heavyjobs.jobs.trouble import NotInstalled, Refused, SourceMissing, Stalled, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import SOUND, failed_without_trace, ffmpeg, make_clip


def probe(source: Path, **options: Any) -> Inline[ProbedMedia, Progress, Trouble]:
    return run_inline(Probe(source=str(source), **options))


def facts(source: Path) -> Facts:
    return probe(source).result.facts


@pytest.fixture(autouse=True)
def no_ffprobe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has: PyAV answers, unless a test says otherwise."""
    monkeypatch.setenv("PATH", "")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def test_every_stream_is_named_with_what_it_holds(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    surround = ["-f", "lavfi", "-i", "anoisesrc=d=2:r=44100,aformat=channel_layouts=5.1"]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-metadata:s:a:1", "language=fra", "-metadata:s:s:0", "language=ger"]
    ffmpeg("-i", clip, *surround, "-i", tmp_path / "a.srt", *maps, "-c", "copy", "-c:a:1", "flac", tmp_path / "a.mkv")

    result = probe(tmp_path / "a.mkv", digest=True).result

    assert result.sha256 == hashlib.sha256((tmp_path / "a.mkv").read_bytes()).hexdigest()
    assert result.bytes == (tmp_path / "a.mkv").stat().st_size
    found = result.facts
    assert found.container == "matroska,webm"
    assert found.duration_seconds == pytest.approx(2.0, abs=0.1)
    (film,) = found.video
    assert (film.index, film.codec, film.width, film.height, film.frame_rate) == (0, "h264", 160, 120, 25.0)
    assert (film.pixel_format, film.cover) == ("yuv420p", False)
    first, second = found.audio
    assert (first.codec, first.channels, first.sample_rate, first.language) == ("aac", 1, 48000, None)
    assert (second.codec, second.channels, second.layout, second.sample_rate) == ("flac", 6, "5.1", 44100)
    assert second.language == "fra"
    assert [(one.sort, one.codec, one.language) for one in found.other] == [("subtitle", "subrip", "ger")]


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.webm", ["-c:v", "libvpx-vp9", "-cpu-used", "8", "-an"], "matroska,webm"),
        ("a.ts", ["-c:v", "libx265", "-x265-params", "log-level=error", "-an"], "mpegts"),
        ("a.avi", ["-c:v", "mpeg4", "-an"], "avi"),
        ("a.wav", ["-vn"], "wav"),
        ("a.flac", ["-vn"], "flac"),
        ("a.opus", ["-vn", "-c:a", "libopus"], "ogg"),
        ("a.mp3", ["-vn"], "mp3"),
    ],
)
def test_the_common_containers_are_known(tmp_path: Path, clip: Path, name: str, codec: list[str], container: str) -> None:
    ffmpeg("-i", clip, *codec, tmp_path / name)

    found = facts(tmp_path / name)

    assert found.container == container
    assert found.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert len(found.video) + len(found.audio) == 1
    assert all(stream.frame_rate == 25.0 for stream in found.video)


def test_a_cover_is_no_film(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-vf", "scale=600:600", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg("-f", "lavfi", "-i", f"{SOUND}:duration=1", tmp_path / "bare.mp3")
    ffmpeg(
        "-i", tmp_path / "bare.mp3", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c", "copy", tmp_path / "a.mp3"
    )

    found = facts(tmp_path / "a.mp3")

    assert [stream.cover for stream in found.video] == [True]
    assert found.film is None


def test_names_that_look_like_something_else_are_only_names(tmp_path: Path, clip: Path) -> None:
    for name in (b"-y -i.mp4", b"100%03d.mp4", b"pipe:1.mp4", b"new\nline.mp4", b"\xff\xfe latin \xe9.mp4"):
        odd = tmp_path / os.fsdecode(name)
        odd.write_bytes(clip.read_bytes())
        film = run_inline(Probe(source=str(odd))).result.facts.film if b"\xff" not in name else _in_a_folder(odd)

        assert film is not None
        assert film.codec == "h264"


def _in_a_folder(odd: Path) -> Any:
    """A name that is no text cannot be a parameter; a link to it can."""
    link = odd.with_name("link.mp4")
    link.symlink_to(odd)
    return facts(link).film


# -- what can be wrong


@pytest.mark.parametrize("content", [b"", b"just a text\n" * 50, os.urandom(5000), b"\0\0\0\x20ftypisom" + bytes(100)])
def test_what_is_no_media_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)

    error, retry = failed_without_trace(tmp_path, lambda: probe(tmp_path / "a.mp4"))

    assert isinstance(error, Unreadable)
    assert not retry


def test_bad_places_are_typed_errors_that_are_not_retried(tmp_path: Path) -> None:
    for source in (tmp_path / "no.mp4", tmp_path, Path("/dev/zero")):
        error, retry = failed_without_trace(tmp_path, lambda: probe(source))  # noqa: B023 - called at once
        assert isinstance(error, SourceMissing)
        assert not retry


@pytest.mark.fault("security: a video that names other files")
def test_nothing_that_a_file_names_is_opened(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-c", "copy", "-f", "mpegts", tmp_path / "secret.ts")
    trap = tmp_path / "trap.ts"
    os.mkfifo(trap)  # whoever opened it would wait for ever
    for named in (tmp_path / "secret.ts", trap):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{named}\n#EXT-X-ENDLIST\n"
        for text in (playlist, f"ffconcat version 1.0\nfile '{named}'\n"):
            for name in ("a.mp4", "a.m3u8", "a.ffconcat"):
                (tmp_path / name).write_text(text)
                done = probe(tmp_path / name)
                assert isinstance(done.error, Unreadable)
                assert not done.retry


def test_what_exceeds_a_cap_is_refused(tmp_path: Path, clip: Path) -> None:
    for parameter, most, word in (
        ("streams_max", 1, "has 2 streams"),
        ("pixels_max", 160 * 120 - 1, "160 × 120"),
        ("duration_max_seconds", 1, "lasts 2 s"),
    ):
        error, retry = failed_without_trace(tmp_path, lambda: probe(clip, **{parameter: most}))  # noqa: B023
        assert isinstance(error, Refused)
        assert word in error.what
        assert error.would_do == f"raise {parameter}, if such files are expected"
        assert not retry
    assert probe(clip, streams_max=2, pixels_max=160 * 120, duration_max_seconds=3).error is None


def _ffprobe(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "ffprobe"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.fault("security: a video that crashes or stalls what reads it")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGXCPU, signal.SIGABRT])
def test_a_file_that_ends_what_reads_it_is_unreadable(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    _ffprobe(tmp_path, monkeypatch, f"kill -{number.value} $$")

    error, retry = failed_without_trace(tmp_path, lambda: probe(clip))

    assert isinstance(error, Unreadable)
    assert number.name in error.what
    assert not retry


def test_a_child_that_is_killed_from_outside_says_nothing_about_the_file(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ffprobe(tmp_path, monkeypatch, "kill -9 $$")

    with pytest.raises(ProgramFailed, match="signal 9"):
        probe(clip)


def test_the_child_is_limited_in_memory_files_and_time(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ffprobe(tmp_path, monkeypatch, f"for each in d t n f c; do ulimit -$each >&2; done; echo x > {tmp_path}/written")

    done = probe(clip)

    assert isinstance(done.error, Unreadable)
    assert [line for line in done.log if line.isdigit()] == [str(1 << 20), "30", "64", "0", "0"]
    assert (tmp_path / "written").read_bytes() == b""


def test_without_ffprobe_and_pyav_it_is_said_what_to_install(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "av.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")

    error, retry = failed_without_trace(tmp_path, lambda: probe(clip))

    assert isinstance(error, NotInstalled)
    assert retry  # another host may have it


def test_a_disk_that_does_not_answer_in_time_is_no_fault_of_the_file(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ffprobe(tmp_path, monkeypatch, f"kill -{signal.SIGALRM.value} $$")

    error, retry = failed_without_trace(tmp_path, lambda: probe(clip))

    assert isinstance(error, Stalled)
    assert "within 120 s" in error.what
    assert retry


def test_a_file_whose_times_do_not_begin_at_zero_says_when_they_do(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", "7", tmp_path / "late.mkv")

    assert facts(clip).begins_seconds == pytest.approx(0, abs=0.03)
    assert facts(tmp_path / "late.mkv").begins_seconds == pytest.approx(7, abs=0.03)
    early = {"format_name": "mov", "start_time": "-0.500000"}
    assert read_facts({"format": early, "streams": []}).begins_seconds == -0.5


def test_numbers_and_names_of_a_file_are_not_trusted() -> None:
    about = {"format_name": "mov", "duration": "-inf", "bit_rate": "N/A"}
    video = {
        "index": 0,
        "codec_type": "video",
        "avg_frame_rate": "30000/1001",
        "tags": {"language": "e\0n\x1b[31m" + "x" * 10**6},
    }
    data = {"index": 1, "codec_type": "audio", "sample_rate": "0", "avg_frame_rate": "0/0"}

    found = read_facts({"format": about, "streams": [video, data, {"index": 2}]})

    assert (found.duration_seconds, found.bit_rate) == (None, None)
    assert found.video[0].frame_rate == 29.97
    language = found.video[0].language or ""
    assert language.isprintable()
    assert len(language) < 100
    assert [one.sort for one in found.other] == ["unknown"]
