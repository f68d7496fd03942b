"""Run ffmpeg on something long, and show how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import NotInstalled, Refused, Unreadable, stop
from heavyjobs.jobs.watchdog import Bounds, Watchdog

PROGRESS: Final = ("-nostats", "-progress", "pipe:1", "-stats_period", "0.25", "-loglevel", "warning")
"""Goes between the input's arguments and the output's."""
_QUIET: Final = {"SVT_LOG": "1"}
"""Errors alone: that library tells its life at each start, past ffmpeg's own level."""

_UNFIT: Final = ("Error while opening encoder", "Error submitting video frame to the encoder", "video encoding failed")
"""What is said of an encoder that takes no pictures so large or so small."""
_TOO_SMALL: Final = "TU size > 8 raw frame size"
"""What libsvtav1 says of pictures of a few pixels, and then that it has no memory for them."""
_UNREADABLE: Final = ("Invalid data found", "no decoder found", "nothing was encoded", "received no packets")
_UNWRITABLE: Final = ("No space left", "Input/output error", "Permission denied", "Read-only", "quota", "Cannot allocate")


class Encoded(NamedTuple):
    """What ffmpeg says that it has written."""

    frames: int
    seconds: float


def encode(
    ctx: Context[Any, Any],
    argv: Sequence[str],
    meter: Meter,
    *,
    phase: str,
    total: float | None,
    made: str,
    bounds: Bounds,
    cwd: Path | None = None,
) -> Encoded:
    """Run a command that has `PROGRESS` among its arguments; `made` and `bounds.where` name in errors what it makes and reads.

    Raises:
        Stopped: NotInstalled, when this ffmpeg lacks an encoder for it; Unreadable, when it can make nothing of the source;
            Stalled, when it stands still; Refused, when it writes too much, or the encoder does not take what there is.
        ProgramFailed: whatever else it fails for.
    """
    meter.start(phase, total=total, unit="seconds")
    return follow(ctx, argv, meter, made=made, bounds=bounds, source=bounds.where, cwd=cwd)


def follow(
    ctx: Context[Any, Any],
    argv: Sequence[str],
    meter: Meter,
    *,
    made: str,
    bounds: Bounds,
    source: str | None = None,
    cwd: Path | None = None,
) -> Encoded:
    """The same on a meter that was started; without `source` it is nobody's fault in particular that nothing can be made."""
    watchdog = Watchdog(bounds)
    try:
        with ctx.program(argv, cwd=cwd, env={**os.environ, **_QUIET}, watch=watchdog.look) as lines:
            done = _follow(lines, meter, watchdog)
    except ProgramFailed as failed:
        if any("Unknown encoder" in line for line in failed.tail):
            stop(NotInstalled, f"{argv[0]} has no encoder for {made}", where="this host", would_do="install another")
        if failed.code is not None and is_unfit(failed.tail):
            what = f"has pictures or sound of a shape that {made} cannot hold"
            stop(Refused, what, where=bounds.where, would_do="use another preset, and see ffmpeg's lines in the log")
        if source is not None and failed.code is not None and blames_source(failed.tail):
            stop(
                Unreadable,
                "cannot be decoded",
                where=source,
                would_do="check that it is whole, and see ffmpeg's lines in the log",
            )
        raise
    watchdog.measure()
    meter.end()
    return done


def is_unfit(lines: Iterable[str]) -> bool:
    """Whether the last words of an ffmpeg that gave up are about what its encoder was to make."""
    said = "\n".join(lines)
    no_memory = "Cannot allocate" in said and _TOO_SMALL not in said
    return any(sign in said for sign in _UNFIT) and not no_memory


def blames_source(lines: Iterable[str]) -> bool:
    """Whether the last words of an ffmpeg that gave up are about what it read, not about where it writes."""
    said = "\n".join(lines)
    return any(sign in said for sign in _UNREADABLE) and not any(sign in said for sign in _UNWRITABLE)


def _follow(lines: Iterator[str], meter: Meter, watchdog: Watchdog) -> Encoded:
    frames, seconds = 0, 0.0
    for line in lines:
        key, _, value = line.partition("=")
        if key == "frame":
            frames = int(value)
            meter.item(f"frame {frames}")
        elif key == "out_time_us" and value.lstrip("-").isdecimal():  # N/A before the first packet
            seconds = max(int(value) / 1e6, seconds)
            meter.at(seconds)
            watchdog.note(frames=frames, seconds=seconds)
    return Encoded(frames, seconds)
