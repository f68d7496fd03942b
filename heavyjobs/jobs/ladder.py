"""The renditions that `media.hls` can make: named, versioned, as data; and how ffmpeg is asked for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

RenditionName: TypeAlias = Literal["2160p", "1440p", "1080p", "720p", "480p", "360p", "240p"]
SegmentSort: TypeAlias = Literal["fmp4", "ts"]

PLAYLIST: Final = "playlist.m3u8"
INIT: Final = "init.mp4"
SOUND_VERSION: Final = 1
SOUND_KBPS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One size of a film: H.264 of constant quality, as long as that stays below a bit rate.

    Attributes:
        version: raised when the same input would give another output.
        side: the shorter side in pixels. kbps_max: what a player must be able to load.
    """

    version: int
    side: int
    crf: int
    kbps_max: int


LADDER: Final[Mapping[RenditionName, Rendition]] = {
    "2160p": Rendition(version=1, side=2160, crf=23, kbps_max=16000),
    "1440p": Rendition(version=1, side=1440, crf=23, kbps_max=9000),
    "1080p": Rendition(version=1, side=1080, crf=23, kbps_max=5000),
    "720p": Rendition(version=1, side=720, crf=23, kbps_max=2800),
    "480p": Rendition(version=1, side=480, crf=23, kbps_max=1400),
    "360p": Rendition(version=1, side=360, crf=23, kbps_max=800),
    "240p": Rendition(version=1, side=240, crf=24, kbps_max=400),
}


def fitting(wanted: Sequence[RenditionName], *, side: int) -> list[RenditionName]:
    """Those that do not make a film with that shorter side larger, largest first; the smallest where all would."""
    ordered = sorted(set(wanted), key=lambda name: LADDER[name].side, reverse=True)
    return [name for name in ordered if LADDER[name].side <= side] or ordered[-1:]


def picture(rendition: Rendition, *, segment_seconds: float) -> list[str]:
    """The output side for one rendition's pictures: a key frame where each segment has to begin, at the same times in all."""
    rate = ["-crf", str(rendition.crf), "-maxrate", f"{rendition.kbps_max}k", "-bufsize", f"{2 * rendition.kbps_max}k"]
    keys = ["-force_key_frames", f"expr:gte(t,n_forced*{segment_seconds})", "-sc_threshold", "0"]
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-pix_fmt", "yuv420p"]
    return ["-map", "0:V:0", "-an", "-sn", "-dn", *encoder, *rate, *keys, "-fps_mode", "vfr", "-vf", _scale(rendition.side)]


def sound() -> list[str]:
    """The output side for the sound that goes with all of them; silence where it begins late or has a gap."""
    gapless = ["-af", "aresample=async=1:first_pts=0"]
    return ["-map", "0:a:0", "-vn", "-sn", "-dn", *gapless, "-c:a", "aac", "-ac", "2", "-b:a", f"{SOUND_KBPS}k"]


def segmenting(sort: SegmentSort, *, segment_seconds: float) -> list[str]:
    """What makes a playlist and its segments of it, in the folder that ffmpeg is run in."""
    kinds = {
        "fmp4": ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", INIT, "-hls_segment_filename", "segment-%05d.m4s"],
        "ts": ["-hls_segment_type", "mpegts", "-hls_segment_filename", "segment-%05d.ts"],
    }
    vod = ["-hls_time", str(segment_seconds), "-hls_playlist_type", "vod", "-hls_flags", "independent_segments"]
    return ["-f", "hls", *vod, *kinds[sort], "-y", PLAYLIST]


def _scale(side: int) -> str:
    """Square pixels, even sides, as upright as the film is seen; the shorter side as wanted, but never larger than it was."""
    short = f"2*trunc(min({side}\\,min(iw\\,ih))/2)"
    across = f"if(gt(dar\\,1)\\,2*round({short}*dar/2)\\,{short})"
    down = f"if(gt(dar\\,1)\\,{short}\\,2*round({short}/dar/2))"
    return f"scale=w='{across}':h='{down}',setsar=1"
