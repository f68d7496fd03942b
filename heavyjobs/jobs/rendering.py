"""One rendition of a film for HLS: encoded into a folder, checked, described; and whether what lies there is still that."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, encode
from heavyjobs.jobs.examine import examine_made
from heavyjobs.jobs.facts import Facts
from heavyjobs.jobs.ladder import PLAYLIST, SegmentSort, segmenting
from heavyjobs.jobs.media import reading
from heavyjobs.jobs.playlists import MediaPlaylist, avc_codec, bandwidths, fault, read_playlist
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import OutputWrong, stop
from heavyjobs.jobs.watchdog import Bounds

AAC_LC: Final = "mp4a.40.2"
HEAD_BYTES: Final = 64 << 10


class Rendered(BaseModel):
    """A rendition that was made.

    Attributes:
        name: of its folder. version: of its preset. codec: as the master playlist names it.
        width, height: in pixels; None for sound. channels: of sound; None for pictures.
        bandwidth, average_bandwidth: in bits per second.
        duration_seconds, frames: of what was encoded.
        bytes, sha256: of all files; the latter of the list of their digests and names.
    """

    name: str
    version: int
    codec: str
    width: int | None
    height: int | None
    channels: int | None
    bandwidth: int
    average_bandwidth: int
    duration_seconds: float
    frames: int
    segments: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A rendition that is to be made.

    Attributes:
        arguments: ffmpeg's, up to what makes segments of it.
    """

    name: str
    version: int
    arguments: Sequence[str]
    sort: SegmentSort
    segment_seconds: float


def render(
    ctx: Context[Any, Any],
    ffmpeg: str,
    source: Path,
    wanted: Wanted,
    bounds: Bounds,
    *,
    seconds: float,
    meter: Meter,
    where: str,
) -> Rendered:
    """Encode a rendition into a new folder, whole and on the disk when this returns; `where` names the output in errors.

    Raises:
        Stopped: OutputWrong, NotInstalled, Stalled, Refused.
    """
    folder = bounds.output
    folder.mkdir()
    segments = segmenting(wanted.sort, segment_seconds=wanted.segment_seconds)
    argv = [*reading(ffmpeg, source), *PROGRESS, *wanted.arguments, *segments]
    done = encode(ctx, argv, meter, phase=f"encoding {wanted.name}", total=seconds, made="media.hls", bounds=bounds, cwd=folder)
    playlist = read_playlist((folder / PLAYLIST).read_text())
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    if what := fault(playlist, sizes):
        stop(OutputWrong, f"{wanted.name}: {what}", where=where, would_do="try again, and see ffmpeg's lines in the log")
    durable.sync_tree(folder)
    facts = examine_made(ctx, folder / (playlist.init or playlist.segments[0].name), where=where)
    peak, average = bandwidths(playlist, sizes)
    film = facts.film
    return Rendered(
        name=wanted.name,
        version=wanted.version,
        codec=_codec(folder, playlist, facts),
        width=film.width if film else None,
        height=film.height if film else None,
        channels=facts.audio[0].channels if facts.audio else None,
        bandwidth=peak,
        average_bandwidth=average,
        duration_seconds=playlist.seconds,
        frames=done.frames,
        segments=len(playlist.segments),
        bytes=sum(sizes.values()),
        sha256=digest_of(folder, meter=meter),
    )


def is_still(folder: Path, rendered: Rendered, *, meter: Meter) -> bool:
    """Whether a folder holds what was rendered, byte for byte."""
    try:
        return durable.size_tree(folder) == rendered.bytes and digest_of(folder, meter=meter) == rendered.sha256
    except OSError:
        return False


def digest_of(folder: Path, *, meter: Meter) -> str:
    """SHA-256 of the list of a folder's files: each one's digest and name, in the order of their names."""
    paths = sorted(folder.iterdir())
    meter.start(f"digesting {folder.name}", total=durable.size_tree(folder))
    lines = [f"{sha256_of(path, meter=meter)}  {path.name}\n" for path in paths]
    meter.end()
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _codec(folder: Path, playlist: MediaPlaylist, facts: Facts) -> str:
    if facts.film is None:
        return AAC_LC
    with (folder / (playlist.init or playlist.segments[0].name)).open("rb") as file:
        codec = avc_codec(file.read(HEAD_BYTES))
    if codec is None:
        stop(OutputWrong, "holds no H.264 that can be named", where=folder, would_do="try again with another ffmpeg")
    return codec
