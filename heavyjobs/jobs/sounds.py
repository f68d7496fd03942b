"""What `media.extract_audio` can make: named, versioned presets that keep channels and loudness wherever the format can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from heavyjobs.jobs.facts import AudioStream

SoundName: TypeAlias = Literal["m4a-aac", "opus", "flac", "mp3", "wav"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """How one kind of sound file is made.

    Attributes:
        version: raised when the same input would give another output.
        muxer: ffmpeg's name of the container. suffixes: of file names that it may have.
        codec: ffmpeg's name of what is in it: a stream that is this already is copied, not encoded again.
        encoder: and its settings. filters: before it.
        kbps: default bit rate, for each channel; 0 where no bit is lost. channels_max: more are refused.
        mixes_down: whether more than two channels become two, which changes how loud they are.
        container: settings of the muxer.
    """

    version: int
    muxer: str
    suffixes: tuple[str, ...]
    codec: str
    encoder: tuple[str, ...]
    filters: str = ""
    kbps: int = 0
    channels_max: int = 8
    mixes_down: bool = False
    container: tuple[str, ...] = ()


# The layouts of Opus' mapping family 1; libopus refuses others, like 5.1(side), which this turns into the nearest.
_OPUS_LAYOUTS: Final = "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1"

SOUNDS: Final[Mapping[SoundName, Sound]] = {
    "m4a-aac": Sound(
        version=1,
        muxer="ipod",  # mp4, with the brand that music players look for
        suffixes=(".m4a",),
        codec="aac",
        encoder=("-c:a", "aac"),
        kbps=80,
        container=("-movflags", "+faststart"),
    ),
    "opus": Sound(
        version=1,
        muxer="ogg",
        suffixes=(".opus", ".ogg"),
        codec="opus",
        encoder=("-c:a", "libopus"),
        filters=f"aformat=channel_layouts={_OPUS_LAYOUTS}",
        kbps=64,
    ),
    "flac": Sound(version=1, muxer="flac", suffixes=(".flac",), codec="flac", encoder=("-c:a", "flac")),
    "mp3": Sound(
        version=1,
        muxer="mp3",
        suffixes=(".mp3",),
        codec="mp3",
        encoder=("-c:a", "libmp3lame"),
        kbps=96,
        mixes_down=True,
    ),
    "wav": Sound(
        version=1,
        muxer="wav",
        suffixes=(".wav",),
        codec="pcm_s16le",
        encoder=("-c:a", "pcm_s16le"),
        channels_max=64,
        container=("-rf64", "auto"),  # plain WAV ends at 4 GiB
    ),
}


def copies(sound: Sound, stream: AudioStream, *, kbps: int | None) -> bool:
    """Whether the stream is what is wanted already."""
    return stream.codec == sound.codec and kbps is None


def sounding(sound: Sound, stream: AudioStream, *, number: int, kbps: int | None) -> list[str]:
    """The output side of ffmpeg's arguments, up to the file's name; `number` counts streams of sound."""
    chosen = ["-map", f"0:a:{number}", "-vn", "-sn", "-dn"]
    end = [*sound.container, "-f", sound.muxer]
    if copies(sound, stream, kbps=kbps):
        return [*chosen, "-c:a", "copy", *end]
    # It begins with its first sample; where the source has a gap there is silence, so that it stays as long.
    filters = ",".join(["asetpts=PTS-STARTPTS", "aresample=async=1", *([sound.filters] if sound.filters else [])])
    channels = min(stream.channels, 2) if sound.mixes_down else stream.channels
    rate = ["-b:a", f"{kbps or sound.kbps * max(channels, 1)}k"] if sound.kbps else []
    return [*chosen, "-af", filters, *sound.encoder, *rate, *end]
