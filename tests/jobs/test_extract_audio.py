"""Sound is compared by what ffmpeg decodes of it: as long, as loud in each channel, bit by bit where it was copied."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.errors import CancelRequested
from heavyjobs.jobs import ExtractAudio, Progress
from heavyjobs.jobs.encode import blames_source
from heavyjobs.jobs.extract_audio import ExtractedAudio
from heavyjobs.jobs.sounds import SOUNDS, SoundName
from heavyjobs.jobs.trouble import NotInstalled, SourceMissing, TargetTaken, TargetUnusable, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.clips import FFMPEG, SOUND, decoded, failed_without_trace, ffmpeg, make_clip
from tests.jobs.folders import listing


def extract(source: Path, target: Path, **options: Any) -> Inline[ExtractedAudio, Progress, Trouble]:
    return run_inline(ExtractAudio(source=str(source), target=str(target), **options))


def loudness(path: Path) -> list[float]:
    """Of each channel, in dB."""
    said = ffmpeg("-i", path, "-map", "0:a:0", "-af", "astats=measure_overall=none", "-f", "null", "-")
    return [float(level) for level in re.findall(r"RMS level dB: (-?[\d.]+)", said)]


def packets(path: Path) -> str:
    """A digest of the sound as it is stored."""
    argv = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:a:0", "-c", "copy", "-f", "md5", "-"]
    return str(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With stereo AAC, its right side quieter than its left."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "silent.mp4", sound=False)
    sides = f"{SOUND}:duration=2,asplit[l][q];[q]volume=-12dB[r];[l][r]join=inputs=2:channel_layout=stereo"
    ffmpeg("-i", folder / "silent.mp4", "-filter_complex", sides, "-c:v", "copy", "-c:a", "aac", folder / "film.mp4")
    return folder / "film.mp4"


@pytest.mark.parametrize("preset", SOUNDS)
def test_every_preset_is_as_long_and_as_loud_as_the_source(tmp_path: Path, film: Path, preset: SoundName) -> None:
    target = tmp_path / f"a{SOUNDS[preset].suffixes[0]}"

    result = extract(film, target, preset=preset).result

    assert decoded(target)[1] == pytest.approx(2.0, abs=0.1)
    assert loudness(target) == pytest.approx(loudness(film), abs=0.3)
    assert (result.channels, result.sample_rate, result.codec) == (2, 48000, SOUNDS[preset].codec)
    assert result.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert result.copied == (preset == "m4a-aac")
    assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (result.bytes, result.source_bytes) == (target.stat().st_size, film.stat().st_size)


@pytest.mark.parametrize(
    ("preset", "codec"), [("m4a-aac", "aac"), ("opus", "libopus"), ("flac", "flac"), ("mp3", "libmp3lame")]
)
def test_what_is_of_the_codec_already_is_copied_bit_by_bit(tmp_path: Path, preset: SoundName, codec: str) -> None:
    ffmpeg("-f", "lavfi", "-i", f"{SOUND}:duration=2", "-c:a", codec, tmp_path / "a.mkv")
    target = tmp_path / f"a{SOUNDS[preset].suffixes[0]}"

    copied = extract(tmp_path / "a.mkv", target, preset=preset).result

    assert copied.copied
    assert packets(target) == packets(tmp_path / "a.mkv")
    if SOUNDS[preset].kbps:
        again = extract(tmp_path / "a.mkv", target, preset=preset, audio_kbps=32, overwrite=True).result
        assert not again.copied
        assert again.bytes < copied.bytes


@pytest.mark.parametrize("layout", ["5.1(side)", "5.1", "quad", "7.1"])
@pytest.mark.parametrize("preset", ["opus", "flac", "wav", "m4a-aac"])
def test_surround_sound_keeps_its_channels_and_their_loudness(tmp_path: Path, layout: str, preset: SoundName) -> None:
    count = {"quad": 4, "7.1": 8}.get(layout, 6)
    waves = "|".join(f"{0.8**number / 2}*sin(2*PI*60*t)" for number in range(count))
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc={waves}:c={layout}:d=2:s=48000", "-c:a", "pcm_s24le", tmp_path / "source.wav")
    target = tmp_path / f"a{SOUNDS[preset].suffixes[0]}"

    result = extract(tmp_path / "source.wav", target, preset=preset).result

    assert result.channels == count
    assert sorted(loudness(target)) == pytest.approx(sorted(loudness(tmp_path / "source.wav")), abs=0.5)


def test_mp3_mixes_surround_sound_down_and_says_so(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=1,aformat=channel_layouts=5.1", tmp_path / "a.flac")

    done = extract(tmp_path / "a.flac", tmp_path / "a.mp3", preset="mp3")

    assert done.result.channels == 2
    assert any("6 are mixed down" in line for line in done.log)


def test_another_stream_and_a_late_one_begin_with_their_first_sample(tmp_path: Path, film: Path) -> None:
    late = ["-itsoffset", "1", "-f", "lavfi", "-i", f"{SOUND}:duration=3"]
    maps = ["-map", "0", "-map", "1", "-c", "copy", "-c:a:1", "flac"]
    ffmpeg("-i", film, *late, *maps, tmp_path / "a.mkv")

    for preset in ("wav", "flac"):
        result = extract(tmp_path / "a.mkv", tmp_path / f"b.{preset}", preset=preset, stream=1).result

        assert result.channels == 1
        assert decoded(tmp_path / f"b.{preset}")[1] == pytest.approx(3.0, abs=0.1)


def test_flac_keeps_every_bit(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=2:r=44100:a=0.9", "-c:a", "pcm_s24le", tmp_path / "a.wav")

    extract(tmp_path / "a.wav", tmp_path / "a.flac", preset="flac")

    ffmpeg("-i", tmp_path / "a.flac", "-c:a", "pcm_s24le", tmp_path / "b.wav")
    assert packets(tmp_path / "b.wav") == packets(tmp_path / "a.wav")


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    ffmpeg(
        "-f", "lavfi", "-i", f"{SOUND}:duration=3", "-af", "aselect='not(between(t,1,2))'", "-c:a", "aac", tmp_path / "a.mkv"
    )

    for preset in ("wav", "mp3"):
        extract(tmp_path / "a.mkv", tmp_path / f"a.{preset}", preset=preset)

        assert decoded(tmp_path / f"a.{preset}")[1] == pytest.approx(3.0, abs=0.1)
        said = ffmpeg("-i", tmp_path / f"a.{preset}", "-af", "silencedetect=n=-50dB:d=0.5", "-f", "null", "-")
        assert float(re.findall(r"silence_duration: ([\d.]+)", said)[0]) == pytest.approx(1.0, abs=0.1)


def test_sound_of_which_nothing_can_be_decoded_is_unreadable(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", f"{SOUND}:duration=2", "-c:a", "flac", tmp_path / "a.mkv")
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    data[2000:] = bytes(len(data) - 2000)
    (tmp_path / "a.mkv").write_bytes(data)

    error, retry = failed_without_trace(tmp_path, lambda: extract(tmp_path / "a.mkv", tmp_path / "a.wav", preset="wav"))

    assert isinstance(error, Unreadable)
    assert not retry


def test_a_full_disk_is_not_the_fault_of_the_source() -> None:
    silent = "[out#0/wav @ 0x5] Nothing was written into output file, because at least one of its streams received no packets."

    assert blames_source([silent])
    assert not blames_source(["[out#0/wav @ 0x5] Error writing trailer: No space left on device", silent])
    assert not blames_source(["Conversion failed!"])


def test_progress_is_in_seconds_of_the_film(tmp_path: Path, film: Path) -> None:
    done = extract(film, tmp_path / "a.opus", preset="opus")

    sound = [status for status in done.statuses if status.phase == "extracting"]
    assert {status.unit for status in sound} == {"seconds"}
    assert sound[-1].done == pytest.approx(2.0, abs=0.1)
    assert sound[-1].total == pytest.approx(2.0, abs=0.1)


def test_a_cancel_in_the_middle_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=600:r=48000", "-c:a", "pcm_s16le", tmp_path / "long.wav")
    before = listing(tmp_path)

    def cancel(_: object, status: Progress) -> None:
        if status.phase == "extracting" and status.done > 0:
            raise CancelRequested

    monkeypatch.setattr("heavyjobs.context.Context.report", cancel)
    with pytest.raises(CancelRequested):
        extract(tmp_path / "long.wav", tmp_path / "a.opus", preset="opus")

    assert listing(tmp_path) == before


# -- what can be wrong


def test_bad_places_are_typed_errors_that_are_not_retried(tmp_path: Path, film: Path) -> None:
    (tmp_path / "taken.m4a").write_text("old")
    cases: list[tuple[Path, Path, type]] = [
        (tmp_path / "no.mp4", tmp_path / "a.m4a", SourceMissing),
        (film, tmp_path / "taken.m4a", TargetTaken),
        (film, tmp_path / "a.mp3", TargetUnusable),
        (film, tmp_path / "no" / "a.m4a", TargetUnusable),
    ]

    for source, target, expected in cases:
        error, retry = failed_without_trace(tmp_path, lambda: extract(source, target))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target)
        assert not retry
    assert extract(film, tmp_path / "taken.m4a", overwrite=True).error is None


def test_a_file_without_that_sound_is_unreadable(tmp_path: Path, film: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", sound=False)
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc={'|'.join(['sin(t)'] * 16)}:d=1", "-c:a", "pcm_s16le", tmp_path / "many.wav")

    none, _ = failed_without_trace(tmp_path, lambda: extract(silent, tmp_path / "a.m4a"))
    second, _ = failed_without_trace(tmp_path, lambda: extract(film, tmp_path / "a.m4a", stream=1))
    many, _ = failed_without_trace(tmp_path, lambda: extract(tmp_path / "many.wav", tmp_path / "a.m4a"))

    for error, what in (
        (none, "has no audio stream"),
        (second, "has no audio stream 1: there are 1"),
        (many, "has 16 channels"),
    ):
        assert isinstance(error, Unreadable)
        assert error.what.startswith(what)
    assert extract(tmp_path / "many.wav", tmp_path / "b.wav", preset="wav").result.channels == 16


@pytest.mark.parametrize("preset", ["m4a-aac", "wav"])
def test_sound_that_ends_before_its_time_is_unreadable(tmp_path: Path, preset: SoundName) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=4)
    data = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    target = tmp_path / f"a{SOUNDS[preset].suffixes[0]}"

    error, retry = failed_without_trace(tmp_path, lambda: extract(tmp_path / "cut.mp4", target, preset=preset))

    assert isinstance(error, Unreadable)
    assert "of its sound can be read" in error.what
    assert not retry


def test_an_ffmpeg_without_the_encoder_is_named(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "poor"
    script.write_text(f'#!/bin/sh\ncase "$*" in *libopus*) echo "Unknown encoder" >&2; exit 8;; esac\nexec {FFMPEG} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))

    error, retry = failed_without_trace(tmp_path, lambda: extract(film, tmp_path / "a.opus", preset="opus"))

    assert isinstance(error, NotInstalled)
    assert retry  # another host may have it


def test_parameters_that_do_not_fit_the_preset_are_refused_when_the_job_is_made() -> None:
    for options in ({"stream": -1}, {"audio_kbps": 9999}, {"preset": "nope"}):
        with pytest.raises(ValidationError):
            ExtractAudio(source="a", target="b", **options)
    with pytest.raises(ValidationError, match="keeps all bits"):
        ExtractAudio(source="a", target="b", preset="wav", audio_kbps=128)
