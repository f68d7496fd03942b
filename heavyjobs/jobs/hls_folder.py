"""The folder that `media.hls` publishes: all renditions side by side, and the playlist that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from heavyjobs.jobs.facts import Facts
from heavyjobs.jobs.kept import put
from heavyjobs.jobs.ladder import PLAYLIST, SegmentSort
from heavyjobs.jobs.playlists import SoundTrack, Variant, master_playlist
from heavyjobs.jobs.rendering import Rendered

MASTER: Final = "master.m3u8"


def unlike(rendered: Sequence[Rendered]) -> str | None:
    """What keeps players from changing between renditions at any segment; None when nothing does."""
    first, *others = [one for one in rendered if one.width is not None]
    for one in others:
        if one.segments != first.segments or abs(one.duration_seconds - first.duration_seconds) > 0.1:
            return f"{one.name} has {one.segments} segments, {first.name} has {first.segments}"
    return None


def lay_out(folder: Path, out: Path, rendered: Sequence[Rendered], facts: Facts, *, sort: SegmentSort) -> str:
    """Make `out` of the renditions in `folder`, whose files get second names there; give the SHA-256 of it all.

    It is of the list of digests and names: of the master playlist, and of each rendition.
    """
    master = _master(rendered, facts, sort=sort).encode()
    out.mkdir()
    (out / MASTER).write_bytes(master)
    for one in rendered:
        (out / one.name).mkdir()
        for file in sorted((folder / one.name).iterdir()):
            put(file, out / one.name / file.name)
    lines = [f"{hashlib.sha256(master).hexdigest()}  {MASTER}\n", *(f"{one.sha256}  {one.name}\n" for one in rendered)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _master(rendered: Sequence[Rendered], facts: Facts, *, sort: SegmentSort) -> str:
    rate = facts.film.frame_rate if facts.film else None
    variants = [_variant(one, rate) for one in rendered if one.width is not None]
    return master_playlist(variants, next((_track(one, facts) for one in rendered if one.width is None), None), sort=sort)


def _variant(one: Rendered, frame_rate: float | None) -> Variant:
    return Variant(
        uri=f"{one.name}/{PLAYLIST}",
        codec=one.codec,
        width=one.width or 0,
        height=one.height or 0,
        frame_rate=frame_rate,
        bandwidth=one.bandwidth,
        average_bandwidth=one.average_bandwidth,
    )


def _track(one: Rendered, facts: Facts) -> SoundTrack:
    return SoundTrack(
        uri=f"{one.name}/{PLAYLIST}",
        codec=one.codec,
        channels=one.channels or 2,
        language=facts.audio[0].language,
        bandwidth=one.bandwidth,
        average_bandwidth=one.average_bandwidth,
    )
