"""The packets of a media file, as ffmpeg's demuxer tells them: their times, and which are keyframes. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.pulse import Pulse
from heavyjobs.jobs.trouble import OutputWrong, Unreadable, stop

Sort: TypeAlias = Literal["video", "sound"]

MAPS: Final[dict[Sort, str]] = {"video": "0:V:0", "sound": "0:a:0"}
DIGESTS: Final = ("-f", "streamhash", "-hash", "sha256")
"""The muxer that makes of each stream one digest of all its packets' bytes."""
_NO_TIME: Final = -(1 << 63)
_KEY: Final = 0x1
_CORRUPT: Final = 0x2
_DISCARD: Final = 0x4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How to read a file.

    Attributes:
        where: names it in errors. stall_seconds: how long ffmpeg may do nothing.
        made: whether it was made here, so that it is no fault of the source when it cannot be read.
    """

    where: str
    stall_seconds: float
    made: bool = False


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
    """All packets of one stream, in the order of the file; `tick` is in seconds.

    Attributes:
        width, height: of pictures, as the stream says it when it begins.
    """

    tick: Fraction
    packets: list[Listed]
    width: int | None = None
    height: int | None = None


def list_packets(ctx: Context[Any, Any], path: Path, sort: Sort, *, asked: Asked, most: int | None = None) -> Listing:
    """Read the packets of the first stream of that sort.

    Args:
        most: where to stop, one packet later: a few bytes can stand for a billion packets.

    Raises:
        Stopped: when it cannot be read to its end; Stalled, when ffmpeg stands still; NotInstalled.
    """
    # Times as they are in the file: ffmpeg would have it begin at 0.
    output = ["-map", MAPS[sort], "-c", "copy", "-copyts", "-loglevel", "error", "-f", "framecrc", "pipe:1"]
    with _said(ctx, [*reading(find_ffmpeg(), path), *output], asked) as lines:
        return understand_listing(lines, most=most)


def digest_packets(ctx: Context[Any, Any], path: Path, options: Sequence[str], *, asked: Asked) -> list[str]:
    """The digests of the packets of each stream that `options` map, as ffmpeg's muxer `streamhash` prints them.

    Raises:
        Stopped: as `list_packets`.
    """
    output = [*options, *DIGESTS, "-loglevel", "error", "pipe:1"]
    with _said(ctx, [*reading(find_ffmpeg(), path), *output], asked) as lines:
        return list(lines)


@contextmanager
def _said(ctx: Context[Any, Any], argv: Sequence[str], asked: Asked) -> Generator[Iterator[str]]:
    pulse = Pulse(where=asked.where, stall_seconds=asked.stall_seconds)
    try:
        with ctx.program(argv, watch=pulse.look) as lines:
            yield lines
    except ProgramFailed as failed:
        if failed.code is None:
            raise
        why = failed.tail[-1] if failed.tail else "ffmpeg says nothing"
        kind, would_do = (OutputWrong, "try again") if asked.made else (Unreadable, "check that it is whole")
        stop(kind, f"its packets cannot be listed: {why}", where=asked.where, would_do=would_do)


def understand_listing(lines: Iterable[str], *, most: int | None = None) -> Listing:
    """Read what ffmpeg's muxer `framecrc` prints of one stream."""
    said: dict[str, str] = {}
    found = list(islice(_packets(lines, said), None if most is None else most + 1))
    width, _, height = said.get("#dimensions 0", "").partition("x")
    sides = (int(width), int(height)) if height else (None, None)
    return Listing(Fraction(said.get("#tb 0", "0")), found, *sides)


def _packets(lines: Iterable[str], said: dict[str, str]) -> Iterator[Listed]:
    """The packets, with what is said of all of them put into `said`."""
    for line in lines:
        if line.startswith("#"):
            name, _, value = line.partition(":")
            said[name] = value.strip()
        else:
            yield _packet(line)


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
