"""What a media file is, as typed facts, and the caps that it has to keep to; read from ffprobe's JSON."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, Field

from heavyjobs.jobs.trouble import shown

NAME_MAX_CHARS: Final = 64
"""Of a language, a codec, a layout: ffmpeg's own are short, a file's may be megabytes."""

EXACT: Final = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "flac", "wav", "avi", "flv", "nut", "mxf", "aiff"}
"""Containers that know how long they are; of others ffmpeg may only guess, from a bit rate."""


class VideoStream(BaseModel):
    """A stream of pictures.

    Attributes:
        index: among all streams of the file. width, height: as coded, before any rotation.
        duration_seconds: of this stream; None where the container says only how long all of it is.
        frame_rate: in frames per second, on average. cover: a still picture that comes with sound, no film.
    """

    index: int
    codec: str | None
    profile: str | None = None
    width: int
    height: int
    duration_seconds: float | None = None
    frame_rate: float | None = None
    pixel_format: str | None = None
    bit_rate: int | None = None
    cover: bool = False
    language: str | None = None


class AudioStream(BaseModel):
    """A stream of sound; `sample_rate` in hertz, `bit_rate` in bits per second, `duration_seconds` as for video."""

    index: int
    codec: str | None
    channels: int
    duration_seconds: float | None = None
    layout: str | None = None
    sample_rate: int | None = None
    bit_rate: int | None = None
    language: str | None = None


class OtherStream(BaseModel):
    """Subtitles, data, attachments."""

    index: int
    sort: str
    codec: str | None
    language: str | None = None


class Facts(BaseModel):
    """What a media file says of itself.

    Attributes:
        container: ffmpeg's name of the format. duration_seconds, bit_rate: None where the file does not say.
        begins_seconds: the earliest time in the file; often 0.
    """

    container: str
    begins_seconds: float = 0.0
    duration_seconds: float | None
    bit_rate: int | None = None
    video: list[VideoStream]
    audio: list[AudioStream]
    other: list[OtherStream]

    @property
    def film(self) -> VideoStream | None:
        """The first video that is no cover."""
        return next((stream for stream in self.video if not stream.cover), None)

    @property
    def exact_seconds(self) -> float | None:
        """How long the file has to be; None where that is not known for sure."""
        return self.duration_seconds if self.container in EXACT else None


class Caps(BaseModel, frozen=True):
    """The most that a file may be.

    Attributes:
        streams: of any sort. pixels: of one picture. duration_seconds: as the file says it.
    """

    streams: Annotated[int, Field(ge=1, le=1000)] = 64
    pixels: Annotated[int, Field(ge=1)] = 8192 * 8192
    duration_seconds: Annotated[float, Field(gt=0)] = 7 * 24 * 3600


class Over(NamedTuple):
    """A cap that a file exceeds.

    Attributes:
        what: in words for people. parameter: of `media.probe`, which sets the cap. instead: what would do elsewhere.
    """

    what: str
    parameter: str
    instead: str


def over(facts: Facts, caps: Caps) -> Over | None:
    """The first cap that a file exceeds; None when it keeps to all of them."""
    streams = len(facts.video) + len(facts.audio) + len(facts.other)
    if streams > caps.streams:
        what = f"has {streams} streams, more than {caps.streams}"
        return Over(what, "streams_max", "copy the streams that are wanted to a file of their own")
    for stream in facts.video:
        if stream.width * stream.height > caps.pixels:
            what = f"has pictures of {stream.width} × {stream.height}, more than {caps.pixels:,} pixels"
            return Over(what, "pixels_max", "use a version with smaller pictures, or without them")
    if facts.duration_seconds is not None and facts.duration_seconds > caps.duration_seconds:
        what = f"lasts {facts.duration_seconds:,.0f} s, more than {caps.duration_seconds:,.0f} s"
        return Over(what, "duration_max_seconds", "cut it into shorter files first, and check that it says its true length")
    return None


def tolerance(seconds: float) -> float:
    """By how much lengths may differ: containers round, and encoders add some milliseconds of padding."""
    return 0.5 + seconds / 1000


def read_facts(said: dict[str, Any]) -> Facts:
    """Read the JSON of `ffprobe -show_format -show_streams`; whatever a file has put there, it stays short and printable."""
    about, streams = said.get("format", {}), said.get("streams", [])
    return Facts(
        container=_name(about.get("format_name")) or "unknown",
        begins_seconds=_finite(about.get("start_time")) or 0.0,
        duration_seconds=_number(about.get("duration")),
        bit_rate=_whole(about.get("bit_rate")),
        video=[_video(one) for one in streams if one.get("codec_type") == "video"],
        audio=[_audio(one) for one in streams if one.get("codec_type") == "audio"],
        other=[_other(one) for one in streams if one.get("codec_type") not in {"video", "audio"}],
    )


def _video(one: dict[str, Any]) -> VideoStream:
    return VideoStream(
        index=one["index"],
        codec=_name(one.get("codec_name")),
        profile=_name(one.get("profile")),
        width=one.get("width") or 0,
        height=one.get("height") or 0,
        duration_seconds=_number(one.get("duration")),
        frame_rate=_rate(one.get("avg_frame_rate")),
        pixel_format=_name(one.get("pix_fmt")),
        bit_rate=_whole(one.get("bit_rate")),
        cover=bool(one.get("disposition", {}).get("attached_pic")),
        language=_language(one),
    )


def _audio(one: dict[str, Any]) -> AudioStream:
    return AudioStream(
        index=one["index"],
        codec=_name(one.get("codec_name")),
        channels=one.get("channels") or 0,
        duration_seconds=_number(one.get("duration")),
        layout=_layout(one.get("channel_layout")),
        sample_rate=_whole(one.get("sample_rate")),
        bit_rate=_whole(one.get("bit_rate")),
        language=_language(one),
    )


def _other(one: dict[str, Any]) -> OtherStream:
    sort = _name(one.get("codec_type")) or "unknown"
    return OtherStream(index=one["index"], sort=sort, codec=_name(one.get("codec_name")), language=_language(one))


def _language(one: dict[str, Any]) -> str | None:
    language = _name(one.get("tags", {}).get("language"))
    return None if language == "und" else language


def _name(text: str | None) -> str | None:
    return shown(text[:NAME_MAX_CHARS]) if text and text != "unknown" else None


def _layout(text: str | None) -> str | None:
    """None where it only counts, like `2 channels`."""
    name = _name(text)
    return None if name is None or name.endswith(" channels") else name


def _finite(text: str | float | None) -> float | None:
    if text is None or text in {"", "N/A"}:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _number(text: str | float | None) -> float | None:
    number = _finite(text)
    return number if number is not None and number >= 0 else None


def _whole(text: str | float | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _rate(text: str | None) -> float | None:
    """`30000/1001` as a number; ffmpeg says 0/0 where it does not know."""
    frames, _, seconds = (text or "0/0").partition("/")
    above, below = _number(frames), _number(seconds)
    return round(above / below, 3) if above and below else None
