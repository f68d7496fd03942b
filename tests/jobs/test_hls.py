"""Playlists are read by the m3u8 package, and played by ffmpeg as a player would: from the master, through each rendition."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.errors import CancelRequested
from heavyjobs.events import Stop
from heavyjobs.jobs import MakeHls, Progress
from heavyjobs.jobs.hls import HlsMade
from heavyjobs.jobs.ladder import LADDER, SegmentSort, fitting
from heavyjobs.jobs.playlists import avc_codec, bandwidths, fault, read_playlist
from heavyjobs.jobs.trouble import NotInstalled, OutputWrong, SourceMissing, TargetTaken, TargetUnusable, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import FFMPEG, decoded, failed_without_trace, ffmpeg, make_clip
from tests.jobs.folders import listing

HLS = ("-allowed_extensions", "ALL", "-protocol_whitelist", "file")
"""What makes ffmpeg play a playlist of local files."""


def hls(source: Path, target: Path, *, attempt: int = 1, **options: Any) -> Inline[HlsMade, Progress, Trouble]:
    options = {"renditions": ("360p", "240p"), "segment_seconds": 2, **options}
    return run_inline(MakeHls(source=str(source), target=str(target), **options), attempt=attempt)


def loaded(path: Path) -> Any:
    m3u8: Any = importlib.import_module("m3u8")
    return m3u8.load(str(path))


def keyframe_times(playlist: Path) -> list[float]:
    """Of a rendition, as decoded."""
    graph = ["-vf", "select='eq(pict_type,I)',showinfo", "-f", "null", "-"]
    return [float(time) for time in re.findall(r"pts_time:([\d.]+)", ffmpeg(*HLS, "-i", playlist, *graph))]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "film.mp4", seconds=7, size="640x360")


@pytest.mark.parametrize("segments", ["fmp4", "ts"])
def test_a_master_playlist_names_what_players_find(tmp_path: Path, film: Path, segments: SegmentSort) -> None:
    result = hls(film, tmp_path / "a", segments=segments).result

    master = loaded(tmp_path / "a" / result.master)
    assert master.is_variant
    assert master.is_independent_segments
    assert [one.stream_info.resolution for one in master.playlists] == [(640, 360), (426, 240)]
    assert {one.stream_info.frame_rate for one in master.playlists} == {25.0}
    for one, rendered in zip(master.playlists, result.renditions, strict=True):
        assert re.fullmatch(r"avc1\.64[0-9a-f]{4},mp4a\.40\.2", one.stream_info.codecs)
        assert one.stream_info.audio == "sound"
        assert one.uri == f"{rendered.name}/playlist.m3u8"
    (track,) = master.media
    assert (track.type, track.group_id, track.uri, track.channels) == ("AUDIO", "sound", "sound/playlist.m3u8", "2")
    for uri in [one.uri for one in master.playlists] + [track.uri]:
        playlist = loaded(tmp_path / "a" / uri)
        assert playlist.is_endlist
        assert playlist.playlist_type == "vod"
        files = {segment.uri for segment in playlist.segments} | {part.uri for part in playlist.segment_map}
        there = {path.name for path in (tmp_path / "a" / uri).parent.iterdir()}
        assert there == files | {"playlist.m3u8"}
        assert all(round(segment.duration) <= playlist.target_duration for segment in playlist.segments)


@pytest.mark.parametrize("segments", ["fmp4", "ts"])
def test_every_rendition_plays_from_end_to_end_with_its_sound(tmp_path: Path, film: Path, segments: SegmentSort) -> None:
    result = hls(film, tmp_path / "a", segments=segments).result

    assert result.sound is not None
    for number, rendered in enumerate(result.renditions):
        streams = ["-map", f"0:v:{number}", "-map", "0:a:0", "-xerror", "-f", "null", "-"]
        said = ffmpeg("-v", "info", *HLS, "-i", tmp_path / "a" / "master.m3u8", *streams)
        assert re.findall(r"frame=\s*(\d+)", said)[-1] == str(rendered.frames) == "175"
        assert rendered.duration_seconds == pytest.approx(7.0, abs=0.1)
    assert decoded(tmp_path / "a" / "sound" / "playlist.m3u8", *HLS)[1] == pytest.approx(7.0, abs=0.1)
    assert result.sound.duration_seconds == pytest.approx(7.0, abs=0.1)


def test_all_renditions_can_be_changed_at_every_segment(tmp_path: Path, film: Path) -> None:
    hls(film, tmp_path / "a")

    starts = [0.0, 2.0, 4.0, 6.0]
    for name in ("360p", "240p"):
        playlist = loaded(tmp_path / "a" / name / "playlist.m3u8")
        assert [segment.duration for segment in playlist.segments] == pytest.approx([2.0, 2.0, 2.0, 1.0], abs=0.05)
        begin, *_ = keys = keyframe_times(tmp_path / "a" / name / "playlist.m3u8")
        assert {round(key - begin, 2) for key in keys} >= set(starts)


def test_bandwidths_are_those_of_the_files(tmp_path: Path, film: Path) -> None:
    result = hls(film, tmp_path / "a").result

    master = loaded(tmp_path / "a" / "master.m3u8")
    assert result.sound is not None
    for one, rendered in zip(master.playlists, result.renditions, strict=True):
        segments = list((tmp_path / "a" / rendered.name).glob("segment-*"))
        average = sum(path.stat().st_size for path in segments) * 8 / rendered.duration_seconds
        assert one.stream_info.average_bandwidth == pytest.approx(average + result.sound.average_bandwidth, rel=0.01)
        peak = max(path.stat().st_size * 8 / 2 for path in segments)
        assert one.stream_info.bandwidth >= peak + result.sound.bandwidth - 10
        assert one.stream_info.bandwidth < (LADDER["360p"].kbps_max + 200) * 2000


def test_the_result_counts_and_digests_every_file(tmp_path: Path, film: Path) -> None:
    result = hls(film, tmp_path / "a").result

    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert (result.files, result.bytes) == (len(files), sum(path.stat().st_size for path in files))
    lines = [f"{hashlib.sha256((tmp_path / 'a' / 'master.m3u8').read_bytes()).hexdigest()}  master.m3u8\n"]
    for one in (*result.renditions, result.sound):
        assert one is not None
        inside = sorted((tmp_path / "a" / one.name).iterdir())
        listed = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in inside)
        assert one.sha256 == hashlib.sha256(listed.encode()).hexdigest()
        lines.append(f"{one.sha256}  {one.name}\n")
    assert result.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_sizes_follow_the_shape_that_is_seen_and_never_grow(tmp_path: Path) -> None:
    lying = make_clip(tmp_path / "lying.mp4", seconds=1, size="640x360", sound=False)
    ffmpeg("-display_rotation", "90", "-i", lying, "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", lying, "-vf", "scale=360:360,setsar=16/9", tmp_path / "narrow.mp4")
    small = make_clip(tmp_path / "small.mp4", seconds=1, size="161x121", sound=False)

    turned = hls(tmp_path / "turned.mp4", tmp_path / "a", renditions=("720p", "360p")).result
    narrow = hls(tmp_path / "narrow.mp4", tmp_path / "b", renditions=("240p",)).result
    tiny = hls(small, tmp_path / "c", renditions=("480p", "240p")).result

    assert [(one.width, one.height) for one in turned.renditions] == [(360, 640)]
    assert (turned.left_out, turned.sound) == (["720p"], None)
    assert [(one.width, one.height) for one in narrow.renditions] == [(426, 240)]
    assert [(one.name, one.width, one.height) for one in tiny.renditions] == [("240p", 160, 120)]
    assert loaded(tmp_path / "c" / "master.m3u8").playlists[0].stream_info.resolution == (160, 120)


@pytest.mark.parametrize("name", ["100%03d", "-y", "new\nline", "ünï 'q\" $(x)"])
def test_hostile_names_of_folders_are_only_names(tmp_path: Path, film: Path, name: str) -> None:
    result = hls(film, tmp_path / name, renditions=("240p",)).result

    assert (tmp_path / name / "240p" / "segment-00003.m4s").is_file()
    assert result.renditions[0].segments == 4
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_sound_and_picture_stay_together_although_they_are_made_apart(tmp_path: Path) -> None:
    beep = "sine=f=1000:d=8,volume='if(gte(t,5),1,0)':eval=frame"
    flash = "color=c=black:s=320x240:r=25:d=8,geq=lum='if(gte(T,5),235,16)':cb=128:cr=128"
    ffmpeg(
        "-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep, "-c:v", "libx264", "-pix_fmt", "yuv420p", tmp_path / "clap.mp4"
    )

    for segments in ("fmp4", "ts"):
        hls(tmp_path / "clap.mp4", tmp_path / segments, segments=segments)

        graph = ["-vf", "blackdetect=d=1", "-af", "silencedetect=n=-40dB:d=1", "-f", "null", "-"]
        said = ffmpeg("-v", "info", *HLS, "-i", tmp_path / segments / "master.m3u8", "-map", "0:v:0", "-map", "0:a:0", *graph)
        seen = float(re.findall(r"black_end:([\d.]+)", said)[0])
        heard = float(re.findall(r"silence_end: ([\d.]+)", said)[0])
        assert seen == pytest.approx(heard, abs=0.06)


def test_progress_is_in_seconds_of_the_film_for_each_rendition(tmp_path: Path, film: Path) -> None:
    done = hls(film, tmp_path / "a")

    for name in ("360p", "240p", "sound"):
        shown = [status for status in done.statuses if status.phase == f"encoding {name}"]
        assert {status.unit for status in shown} == {"seconds"}
        assert shown[-1].done == pytest.approx(7.0, abs=0.2)
        assert shown[-1].total == pytest.approx(7.0, abs=0.1)


def test_a_cancel_in_the_second_rendition_leaves_nothing(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(_: object, status: Progress) -> None:
        if status.phase == "encoding 240p":
            raise CancelRequested

    monkeypatch.setattr("heavyjobs.context.Context.report", cancel)
    monkeypatch.setattr("heavyjobs.testing.inline.Link.stop", Stop.CANCEL)
    with pytest.raises(CancelRequested):
        hls(film, tmp_path / "a")

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
        error, retry = failed_without_trace(tmp_path, lambda: hls(source, target))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target)
        assert not retry
    assert hls(film, tmp_path / "taken", overwrite=True, renditions=("240p",)).error is None
    assert (tmp_path / "taken" / "master.m3u8").is_file()


def test_what_is_no_whole_film_is_unreadable(tmp_path: Path, film: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.mp3")
    ffmpeg("-i", film, "-c", "copy", "-f", "h264", tmp_path / "bare.h264")
    data = film.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:7\n#EXTINF:7,\n{film}\n#EXT-X-ENDLIST\n")
    cases = [
        ("sound.mp3", "has no video"),
        ("bare.h264", "does not say how long"),
        ("cut.mp4", "only"),
        ("list.mp4", "is no media file"),
    ]

    for name, what in cases:
        error, retry = failed_without_trace(tmp_path, lambda: hls(tmp_path / name, tmp_path / "a"))  # noqa: B023
        assert isinstance(error, Unreadable), name
        assert error.what.startswith(what)
        assert not retry


def test_a_matroska_film_that_was_cut_off_is_unreadable(tmp_path: Path, film: Path) -> None:
    ffmpeg("-i", film, "-c", "copy", tmp_path / "whole.mkv")
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])

    error, _ = failed_without_trace(tmp_path, lambda: hls(tmp_path / "cut.mkv", tmp_path / "a"))

    assert isinstance(error, Unreadable)
    assert hls(tmp_path / "whole.mkv", tmp_path / "b").error is None


def _poor_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    script = folder / "poor"
    script.write_text(f'#!/bin/sh\ncase "$*" in {case} esac\nexec {FFMPEG} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))


def test_an_ffmpeg_without_the_encoder_is_named(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _poor_ffmpeg(tmp_path, monkeypatch, '*libx264*) echo "Unknown encoder" >&2; exit 8;;')

    error, retry = failed_without_trace(tmp_path, lambda: hls(film, tmp_path / "a", attempt=3))  # the last

    assert isinstance(error, NotInstalled)
    assert retry  # another host may have it


def test_a_rendition_that_lacks_its_end_is_not_published(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _poor_ffmpeg(tmp_path, monkeypatch, f'*240*) {FFMPEG} "$@"; code=$?; rm segment-00002.m4s; exit $code;;')

    error, retry = failed_without_trace(tmp_path, lambda: hls(film, tmp_path / "a"))

    assert isinstance(error, OutputWrong)
    assert error.what == "240p: segment-00002.m4s is missing or empty"
    assert retry


def test_parameters_out_of_bounds_are_refused_when_the_job_is_made() -> None:
    for options in ({"renditions": ()}, {"renditions": ("999p",)}, {"segment_seconds": 0.5}, {"segments": "webm"}):
        with pytest.raises(ValidationError):
            MakeHls.model_validate({"source": "a", "target": "b", **options})


# -- pure decisions


def test_renditions_are_ordered_and_never_larger_than_the_film() -> None:
    assert fitting(("240p", "1080p", "480p", "240p"), side=720) == ["480p", "240p"]
    assert fitting(("1080p", "480p"), side=100) == ["480p"]


PLAYLIST = """#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="init.mp4"
#EXTINF:6.0,
a.m4s
#EXTINF:0.5,
b.m4s
#EXT-X-ENDLIST
"""


def test_faults_of_a_rendition_are_found() -> None:
    sizes = {"a.m4s": 600, "b.m4s": 900, "init.mp4": 10}
    whole = read_playlist(PLAYLIST)

    assert fault(whole, sizes) is None
    assert fault(read_playlist(PLAYLIST.replace("#EXT-X-ENDLIST", "")), sizes) == "its playlist has no end"
    assert fault(whole, {**sizes, "b.m4s": 0}) == "b.m4s is missing or empty"
    assert fault(whole, {"a.m4s": 600, "b.m4s": 900}) == "init.mp4 is missing or empty"
    assert fault(read_playlist(PLAYLIST.replace("6.0", "9.0")), sizes) is not None
    assert bandwidths(whole, sizes) == (1847, 1847)  # the short one has no say in the peak, but is in the average


def test_an_h264_stream_is_named_by_profile_constraints_and_level() -> None:
    assert avc_codec(b"....avcC\x01\x64\x00\x1f\xff") == "avc1.64001f"
    assert avc_codec(b"\x47....\0\0\0\1\x09\xf0\0\0\0\1\x67\x4d\x40\x28\xff") == "avc1.4d4028"
    assert avc_codec(b"nothing of it") is None
