"""The packets of a media file, as ffmpeg's demuxer tells them: their times, and which are keyframes. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.media import reading
from heavyjobs.jobs.trouble import Unreadable, stop

Sort: TypeAlias = Literal["video", "sound"]

MAPS: Final[dict[Sort, str]] = {"video": "0:V:0", "sound": "0:a:0"}
_NO_TIME: Final = -(1 << 63)
_KEY: Final = 0x1
_CORRUPT: Final = 0x2
_DISCARD: Final = 0x4


@dataclass(frozen=True, slots=True)
class Listed:
    """One packet.

    Attributes:
        decoded, shown: when, in ticks; None where the file does not say. length: in ticks.
        discard: it is decoded and not shown, as before the start of an edit list.
    """

    decoded: int | None
    shown: int | None
    length: int
    key: bool
    corrupt: bool
    discard: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """All packets of one stream, in the order of the file; `tick` is in seconds."""

    tick: Fraction
    packets: list[Listed]


def list_packets(ctx: Context[Any, Any], ffmpeg: str, path: Path, sort: Sort, *, where: str) -> Listing:
    """Read the packets of the first stream of that sort; `where` names the file in errors.

    Raises:
        Stopped: Unreadable, when it cannot be read to its end.
    """
    # Times as they are in the file: ffmpeg would have it begin at 0.
    output = ["-map", MAPS[sort], "-c", "copy", "-copyts", "-loglevel", "error", "-f", "framecrc", "pipe:1"]
    try:
        with ctx.program([*reading(ffmpeg, path), *output]) as lines:
            return understand_listing(lines)
    except ProgramFailed as failed:
        if failed.code is None:
            raise
        why = failed.tail[-1] if failed.tail else "ffmpeg says nothing"
        stop(Unreadable, f"its packets cannot be listed: {why}", where=where, would_do="check that it is whole")


def understand_listing(lines: Iterable[str]) -> Listing:
    """Read what ffmpeg's muxer `framecrc` prints of one stream."""
    tick = Fraction(0)

    def packets() -> Iterator[Listed]:
        nonlocal tick
        for line in lines:
            if line.startswith("#tb 0:"):
                tick = Fraction(line.partition(":")[2].strip())
            elif not line.startswith("#"):
                yield _packet(line)

    found = list(packets())
    return Listing(tick, found)


def _packet(line: str) -> Listed:
    """`0, <decoded>, <shown>, <length>, <bytes>, <checksum>[, F=<flags>][, S=…]`; without flags it is a keyframe."""
    fields = line.replace(" ", "").split(",")
    flags = next((int(field.removeprefix("F="), 0) for field in fields[6:] if field.startswith("F=")), _KEY)
    return Listed(
        decoded=_time(fields[1]),
        shown=_time(fields[2]),
        length=int(fields[3]),
        key=bool(flags & _KEY),
        corrupt=bool(flags & _CORRUPT),
        discard=bool(flags & _DISCARD),
    )


def _time(text: str) -> int | None:
    return None if (time := int(text)) == _NO_TIME else time
