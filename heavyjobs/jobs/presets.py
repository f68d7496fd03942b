"""What `media.transcode` can make: named, versioned presets. Nothing of an ffmpeg command line ever comes from parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

PresetName: TypeAlias = Literal[
    "mp4-h264-aac",
    "webm-vp9-opus",
    "webm-av1-opus",
    "mp4-av1-aac",
    "audio-opus",
    "audio-aac",
    "audio-mp3",
    "audio-flac",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of output is made.

    Attributes:
        version: raised when the same input would give another output.
        muxer: ffmpeg's name of the container. suffixes: of file names that it may have.
        video: encoder and its settings; empty for sound alone. video_instead: where ffmpeg has no such encoder.
        crf, crf_max: default and largest constant rate factor.
        audio: encoder and its settings. audio_kbps: default bit rate; 0 where no bit is lost.
        container: settings of the muxer.
    """

    version: int
    muxer: str
    suffixes: tuple[str, ...]
    video: tuple[str, ...] = ()
    video_instead: tuple[str, ...] = ()
    crf: int = 0
    crf_max: int = 0
    audio: tuple[str, ...]
    audio_kbps: int
    container: tuple[str, ...] = ()


_SVT_AV1: Final = ("-c:v", "libsvtav1", "-preset", "8", "-pix_fmt", "yuv420p")
_AOM_AV1: Final = ("-c:v", "libaom-av1", "-cpu-used", "6", "-row-mt", "1", "-b:v", "0", "-pix_fmt", "yuv420p")

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
    "webm-av1-opus": Preset(
        version=1,
        muxer="webm",
        suffixes=(".webm",),
        video=_SVT_AV1,
        video_instead=_AOM_AV1,
        crf=35,
        crf_max=63,
        audio=("-c:a", "libopus", "-ac", "2"),
        audio_kbps=96,
    ),
    "mp4-av1-aac": Preset(
        version=1,
        muxer="mp4",
        suffixes=(".mp4", ".m4v"),
        video=_SVT_AV1,
        video_instead=_AOM_AV1,
        crf=35,
        crf_max=63,
        audio=("-c:a", "aac"),
        audio_kbps=128,
        container=("-movflags", "+faststart"),
    ),
    "audio-opus": Preset(
        version=1,
        muxer="ogg",
        suffixes=(".opus", ".ogg"),
        audio=("-c:a", "libopus", "-ac", "2"),
        audio_kbps=96,
    ),
    "audio-aac": Preset(
        version=1,
        muxer="ipod",  # mp4, with the brand that music players look for
        suffixes=(".m4a",),
        audio=("-c:a", "aac"),
        audio_kbps=160,
        container=("-movflags", "+faststart"),
    ),
    "audio-mp3": Preset(
        version=1,
        muxer="mp3",
        suffixes=(".mp3",),
        audio=("-c:a", "libmp3lame"),
        audio_kbps=192,
    ),
    "audio-flac": Preset(
        version=1,
        muxer="flac",
        suffixes=(".flac",),
        audio=("-c:a", "flac"),
        audio_kbps=0,
    ),
}


def ways(preset: Preset) -> list[Preset]:
    """The preset with each of its encoders, the best first: an ffmpeg may lack one."""
    return [preset, *([replace(preset, video=preset.video_instead)] if preset.video_instead else [])]


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
    kbps = audio_kbps or preset.audio_kbps
    return [*preset.audio, *(["-b:a", f"{kbps}k"] if kbps else [])]


def scaling(height: int | None) -> str:
    """The filter for the size: both sides even, as 4:2:0 needs; never larger than the source."""
    if height is None:
        return "scale=trunc(iw/2)*2:trunc(ih/2)*2"
    return f"scale=-2:trunc(min({height}\\,ih)/2)*2"
