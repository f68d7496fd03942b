"""Files that are made to do harm, or are just odd, given to every kind of job that reads media; PyAV looks at them first."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from heavyjobs.context import Context as AnyContext
from heavyjobs.job import Job
from heavyjobs.jobs import ExtractAudio, MakeHls, MakeThumbnails, Probe, Progress, Transcode, survey
from heavyjobs.jobs.survey import Survey
from heavyjobs.jobs.trouble import Refused, SourceChanged, SourceMissing, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import SOUND, decoded, failed_without_trace, ffmpeg, make_clip

Making: TypeAlias = Callable[[Path, Path], Job[Any, Any, Any]]

KINDS: Final[dict[str, Making]] = {
    "media.probe": lambda source, _: Probe(source=str(source), digest=True),
    "media.survey": lambda source, _: Survey(source=str(source), piece_seconds=1),
    "media.transcode": lambda source, folder: Transcode(source=str(source), target=str(folder / "o.mp4")),
    "media.hls": lambda source, folder: MakeHls(source=str(source), target=str(folder / "o"), renditions=("240p",)),
    "media.thumbnails": lambda source, folder: MakeThumbnails(source=str(source), target=str(folder / "o"), every=1),
    "media.extract_audio": lambda source, folder: ExtractAudio(source=str(source), target=str(folder / "o.wav"), preset="wav"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def no_ffprobe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where targets are to lie."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def run(kind: str, source: Path, out: Path) -> Inline[Any, Any, Any]:
    return run_inline(KINDS[kind](source, out))


def patched(source: Path, name: bytes, fields: bytes, target: Path) -> Path:
    """A copy with what follows each `name` replaced."""
    data, at = bytearray(source.read_bytes()), 0
    while (at := data.find(name, at)) > 0:
        at += len(name)
        data[at : at + len(fields)] = fields
    target.write_bytes(data)
    return target


# -- files that name others


@pytest.mark.fault("security: a video that names other files")
@every_kind
def test_no_kind_opens_what_a_list_names_whatever_the_list_is_called(tmp_path: Path, out: Path, kind: str) -> None:
    trap = tmp_path / "trap.mp4"
    os.mkfifo(trap)  # whoever opened it would wait for ever
    period = "<Period><AdaptationSet mimeType='video/mp4'><Representation id='0' bandwidth='1'>"
    lists = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{trap}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{trap}'\n",
        "list.mpd": f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
        f"mediaPresentationDuration='PT1S'>{period}<BaseURL>{trap}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n",
    }

    for name, text in lists.items():
        for called in (name, "film.mp4"):
            source = tmp_path / called
            source.write_text(text)
            error, retry = failed_without_trace(out, lambda: run(kind, source, out))  # noqa: B023 - called at once
            assert isinstance(error, Unreadable), called
            assert not retry


@every_kind
def test_a_name_that_is_a_pattern_stands_for_no_other_file(tmp_path: Path, clip: Path, out: Path, kind: str) -> None:
    ffmpeg("-i", clip, "-frames:v", "3", tmp_path / "img%03d.png")
    (tmp_path / "img%03d.png").write_bytes(b"no picture at all")

    error, _ = failed_without_trace(out, lambda: run(kind, tmp_path / "img%03d.png", out))

    assert isinstance(error, Unreadable)


@every_kind
def test_names_that_look_like_something_else_are_only_names_to_every_kind(tmp_path: Path, clip: Path, kind: str) -> None:
    odd = tmp_path / "-i\n100%03d:pipe.mp4"
    odd.write_bytes(clip.read_bytes())
    folder = tmp_path / "-y concat:%d"
    folder.mkdir()

    assert run(kind, odd, folder).error is None


# -- files that are no files


@every_kind
def test_a_pipe_or_a_device_is_no_source_and_a_link_to_a_film_is_one(tmp_path: Path, clip: Path, out: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "link.mp4").symlink_to(clip)

    for name in ("pipe.mp4", "zero.mp4", "loop.mp4"):
        error, retry = failed_without_trace(out, lambda: run(kind, tmp_path / name, out))  # noqa: B023 - called at once
        assert isinstance(error, SourceMissing), name
        assert not retry
    assert run(kind, tmp_path / "link.mp4", out).error is None


# -- files that are more than they seem


@pytest.mark.fault("security: a video that is larger than it seems")
@every_kind
def test_a_film_of_thousands_of_streams_is_refused(tmp_path: Path, out: Path, kind: str) -> None:
    packets = bytearray()
    for number in range(32, 8000):  # each with one picture's beginning
        packet = b"\0\0\1\xe0\0\0\x80\x80\x05\x21\0\1\0\1\0\0\0\1\x67".ljust(184, b"\xff")
        packets += bytes([0x47, 0x40 | number >> 8, number & 255, 0x10]) + packet
    (tmp_path / "many.ts").write_bytes(packets)

    error, retry = failed_without_trace(out, lambda: run(kind, tmp_path / "many.ts", out))

    assert isinstance(error, Refused)
    assert "streams, more than 64" in error.what
    assert not retry


@pytest.mark.fault("security: a video that is larger than it seems")
@pytest.mark.parametrize("kind", ["media.transcode", "media.hls", "media.thumbnails"])
def test_a_picture_that_is_larger_than_its_film_says_is_not_decoded(tmp_path: Path, out: Path, kind: str) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=16x16:r=5:d=1", "-c:v", "png", "-pix_fmt", "rgb24", tmp_path / "small.mkv")
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    header += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    bomb = patched(tmp_path / "small.mkv", b"IHDR", header, tmp_path / "bomb.mkv")

    error, retry = failed_without_trace(out, lambda: run(kind, bomb, out))

    assert isinstance(error, Unreadable)
    assert not retry


@pytest.mark.fault("security: a video that is larger than it seems")
def test_a_film_of_more_frames_than_memory_is_meant_for_is_not_listed_to_its_end(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "FRAMES_MAX", 49)

    surveyed = run_inline(Survey(source=str(clip), piece_seconds=1)).result

    assert surveyed.whole_because == "it has more than 49 frames"
    monkeypatch.setattr(survey, "FRAMES_MAX", 50)
    assert run_inline(Survey(source=str(clip), piece_seconds=1)).result.whole_because is None


# -- odd ones


@pytest.mark.parametrize(("preset", "target"), [("mp4-h264-aac", "o.mp4"), ("mp4-av1-aac", "o.mp4")])
@pytest.mark.parametrize("size", ["20000x16", "1x1"])
def test_pictures_that_an_encoder_does_not_take_are_refused_and_not_called_damaged(
    tmp_path: Path, out: Path, preset: Any, target: str, size: str
) -> None:
    ffmpeg("-f", "lavfi", "-i", f"color=s={size}:r=5:d=1", "-c:v", "ffv1", "-pix_fmt", "yuv444p", tmp_path / "odd.mkv")
    job = Transcode(source=str(tmp_path / "odd.mkv"), target=str(out / target), preset=preset)

    error, retry = failed_without_trace(out, lambda: run_inline(job))

    assert isinstance(error, Refused)
    assert preset in error.what
    assert not retry


@pytest.mark.parametrize("kind", ["media.transcode", "media.hls", "media.thumbnails", "media.extract_audio"])
def test_subtitles_attachments_covers_and_data_stay_behind(tmp_path: Path, clip: Path, out: Path, kind: str) -> None:
    ffmpeg("-i", clip, "-frames:v", "1", tmp_path / "cover.png")
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    (tmp_path / "font.ttf").write_bytes(os.urandom(3000))
    attached: list[str | Path] = ["-attach", tmp_path / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf"]
    attached += ["-attach", tmp_path / "cover.png", "-metadata:s:t:1", "mimetype=image/png"]
    ffmpeg("-i", tmp_path / "a.srt", "-i", clip, "-map", "0", "-map", "1", "-c", "copy", *attached, tmp_path / "all.mkv")
    before = run_inline(Probe(source=str(tmp_path / "all.mkv"))).result.facts

    done = run(kind, tmp_path / "all.mkv", out)

    assert len(before.other) >= 2
    assert [stream.cover for stream in before.video].count(True) == 1
    assert done.error is None
    for made in (out / "o.mp4", out / "o.wav"):
        if made.exists():
            after = run_inline(Probe(source=str(made))).result.facts
            assert (after.other, len(after.audio), len(after.video)) == ([], 1, 1 if made.suffix == ".mp4" else 0)


def test_frames_at_a_varying_rate_whose_times_begin_below_zero_keep_their_number(tmp_path: Path, out: Path) -> None:
    vary = "settb=1/90000,select=not(eq(mod(n\\,7)\\,3)),setpts=PTS+0.012*sin(N*1.7)/TB"
    picture: list[str | Path] = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration=2,{vary}"]
    sound: list[str | Path] = ["-f", "lavfi", "-i", f"{SOUND}:duration=2"]
    times = ["-fps_mode", "passthrough", "-avoid_negative_ts", "disabled", "-output_ts_offset", "-0.5"]
    ffmpeg(*picture, *sound, "-c:v", "libx264", "-bf", "2", *times, tmp_path / "varying.mkv")
    frames, _ = decoded(tmp_path / "varying.mkv", "-copyts")

    made = run("media.transcode", tmp_path / "varying.mkv", out).result

    assert made.frames == pytest.approx(frames, abs=1)
    assert made.duration_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.fault("input: a film changes while it is read")
@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        ("media.probe", "digesting"),
        ("media.transcode", "transcoding"),
        ("media.hls", "encoding 240p"),
        ("media.thumbnails", "taking the poster"),
        ("media.extract_audio", "extracting"),
    ],
)
def test_a_source_that_changes_while_it_is_read_gives_no_output_and_another_try(
    tmp_path: Path, clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kind: str, phase: str
) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(clip.read_bytes())
    report, changed = AnyContext.report, list[str]()

    def change(ctx: AnyContext[Any, Any], status: Progress) -> None:
        report(ctx, status)
        if status.phase == phase and not changed:
            changed.append(phase)
            os.utime(source, ns=(1, 1))

    monkeypatch.setattr("heavyjobs.context.Context.report", change)

    error, retry = failed_without_trace(out, lambda: run(kind, source, out))

    assert changed
    assert isinstance(error, SourceChanged)
    assert retry
