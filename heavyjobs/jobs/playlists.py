"""HLS playlists (RFC 8216): those of one rendition, as ffmpeg writes them, are read; the one that names them all is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from heavyjobs.jobs.ladder import SegmentSort

_MAP = re.compile(r'#EXT-X-MAP:URI="([^"/]+)"')
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class Segment(NamedTuple):
    """A file of a rendition, and for how many seconds it plays."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """What one rendition consists of; `init` is the file that comes before all segments, where there is one."""

    segments: tuple[Segment, ...]
    target_seconds: int
    init: str | None
    ended: bool

    @property
    def seconds(self) -> float:
        return sum(segment.seconds for segment in self.segments)


def read_playlist(text: str) -> MediaPlaylist:
    """Read what ffmpeg has written for one rendition."""
    segments: list[Segment] = []
    target, seconds, init = 0, 0.0, None
    for line in text.splitlines():
        if line.startswith("#EXTINF:"):
            seconds = float(line.removeprefix("#EXTINF:").partition(",")[0])
        elif line.startswith("#EXT-X-TARGETDURATION:"):
            target = int(line.rpartition(":")[2])
        elif found := _MAP.match(line):
            init = found[1]
        elif line and not line.startswith("#"):
            segments.append(Segment(line, seconds))
    return MediaPlaylist(tuple(segments), target, init, "#EXT-X-ENDLIST" in text)


def fault(playlist: MediaPlaylist, sizes: dict[str, int]) -> str | None:
    """What is wrong with a rendition, given the sizes of the files that lie there; None when all is as it should be."""
    if not playlist.ended or not playlist.segments:
        return "its playlist has no end"
    named = [segment.name for segment in playlist.segments] + ([playlist.init] if playlist.init else [])
    if missing := [name for name in named if not sizes.get(name)]:
        return f"{missing[0]} is missing or empty"
    if any(round(segment.seconds) > playlist.target_seconds for segment in playlist.segments):
        return f"a segment is longer than the {playlist.target_seconds} s that its playlist promises"
    return None


def bandwidths(playlist: MediaPlaylist, sizes: dict[str, int]) -> tuple[int, int]:
    """The peak and the average, in bits per second. Short segments have no say in the peak, as RFC 8216 (4.1) defines it."""
    rates = [
        sizes[segment.name] * 8 / segment.seconds
        for segment in playlist.segments
        if segment.seconds >= playlist.target_seconds / 2
    ]
    average = sum(sizes[segment.name] for segment in playlist.segments) * 8 / max(playlist.seconds, 0.001)
    return int(max([*rates, average])) + 1, int(average) + 1


def avc_codec(head: bytes) -> str | None:
    """The name that players know an H.264 stream by (RFC 6381), from an init segment or the begin of a transport stream.

    The three bytes are profile, constraints and level: of the `avcC` box, or of the first sequence parameter set.
    """
    if (at := head.find(b"avcC")) >= 0:
        name = head[at + 5 : at + 8]
    elif found := re.search(rb"\x00\x00\x01[\x07\x27\x47\x67](...)", head, re.DOTALL):
        name = found[1]
    else:
        return None
    return f"avc1.{name.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A rendition, as the playlist of all names it; `bandwidth` in bits per second, without sound."""

    uri: str
    codec: str
    width: int
    height: int
    frame_rate: float | None
    bandwidth: int
    average_bandwidth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundTrack:
    """The sound that goes with every rendition."""

    uri: str
    codec: str
    channels: int
    language: str | None
    bandwidth: int
    average_bandwidth: int


def master_playlist(variants: Sequence[Variant], sound: SoundTrack | None, *, sort: SegmentSort) -> str:
    """The playlist that players open: the first variant is what they begin with, as a rule."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{7 if sort == 'fmp4' else 6}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if sound is not None:
        lines.append(_sound_line(sound))
    for variant in variants:
        lines += [_variant_line(variant, sound), variant.uri]
    return "\n".join(lines) + "\n"


def _sound_line(sound: SoundTrack) -> str:
    # A language is what a file says: only what is one may stand between the quotes.
    known = sound.language is not None and _LANGUAGE.fullmatch(sound.language)
    language = f'LANGUAGE="{sound.language}",' if known else ""
    how = f'{language}DEFAULT=YES,AUTOSELECT=YES,CHANNELS="{sound.channels}"'
    return f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Sound",{how},URI="{sound.uri}"'


def _variant_line(variant: Variant, sound: SoundTrack | None) -> str:
    extra, extra_average = (sound.bandwidth, sound.average_bandwidth) if sound else (0, 0)
    codecs = ",".join([variant.codec, *([sound.codec] if sound else [])])
    facts = [
        f"BANDWIDTH={variant.bandwidth + extra}",
        f"AVERAGE-BANDWIDTH={variant.average_bandwidth + extra_average}",
        f'CODECS="{codecs}"',
        f"RESOLUTION={variant.width}x{variant.height}",
        *([f"FRAME-RATE={variant.frame_rate:.3f}"] if variant.frame_rate else []),
        *(['AUDIO="sound"'] if sound else []),
    ]
    return "#EXT-X-STREAM-INF:" + ",".join(facts)
