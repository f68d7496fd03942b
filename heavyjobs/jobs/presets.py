"""What `media.transcode` can make: named, versioned presets. Nothing of an ffmpeg command line ever comes from parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

PresetName: TypeAlias = Literal["mp4-h264-aac", "webm-vp9-opus", "audio-opus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of output is made.

    Attributes:
        version: raised when the same input would give another output.
        muxer: ffmpeg's name of the container. suffixes: of file names that it may have.
        video: encoder and its settings; empty for sound alone. crf, crf_max: default and largest constant rate factor.
        audio: encoder and its settings. audio_kbps: default bit rate.
        container: settings of the muxer.
    """

    version: int
    muxer: str
    suffixes: tuple[str, ...]
    video: tuple[str, ...] = ()
    crf: int = 0
    crf_max: int = 0
    audio: tuple[str, ...]
    audio_kbps: int
    container: tuple[str, ...] = ()


PRESETS: Final[Mapping[PresetName, Preset]] = {
    "mp4-h264-aac": Preset(
        version=1,
        muxer="mp4",
        suffixes=(".mp4", ".m4v"),
        video=("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"),
        crf=23,
        crf_max=51,
        audio=("-c:a", "aac"),
        audio_kbps=128,
        container=("-movflags", "+faststart"),  # can be played before it is downloaded
    ),
    "webm-vp9-opus": Preset(
        version=1,
        muxer="webm",
        suffixes=(".webm",),
        video=("-c:v", "libvpx-vp9", "-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-pix_fmt", "yuv420p"),
        crf=32,
        crf_max=63,
        audio=("-c:a", "libopus", "-ac", "2"),  # libopus refuses some layouts of surround sound
        audio_kbps=96,
    ),
    "audio-opus": Preset(
        version=1,
        muxer="ogg",
        suffixes=(".opus", ".ogg"),
        audio=("-c:a", "libopus", "-ac", "2"),
        audio_kbps=96,
    ),
}


def encoding(preset: Preset, *, height: int | None, crf: int | None, audio_kbps: int | None) -> list[str]:
    """The output side of ffmpeg's arguments, up to the file's name."""
    video = ["-vn"]
    if preset.video:
        video = ["-map", "0:V:0", *video_encoding(preset, crf=crf), "-vf", scaling(height)]
    sound = ["-map", "0:a:0?" if preset.video else "0:a:0", *sound_encoding(preset, audio_kbps=audio_kbps)]
    return [*video, *sound, "-sn", "-dn", *preset.container, "-f", preset.muxer]


def video_encoding(preset: Preset, *, crf: int | None) -> list[str]:
    """The encoder of the picture and its settings; filters are not among them."""
    return [*preset.video, "-crf", str(preset.crf if crf is None else crf)]


def sound_encoding(preset: Preset, *, audio_kbps: int | None) -> list[str]:
    """The encoder of the sound and its settings."""
    return [*preset.audio, "-b:a", f"{audio_kbps or preset.audio_kbps}k"]


def scaling(height: int | None) -> str:
    """The filter for the size: both sides even, as 4:2:0 needs; never larger than the source."""
    if height is None:
        return "scale=trunc(iw/2)*2:trunc(ih/2)*2"
    return f"scale=-2:trunc(min({height}\\,ih)/2)*2"
