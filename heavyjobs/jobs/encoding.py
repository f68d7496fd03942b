"""ffmpeg at work, followed line by line: what it says that it has written so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import NotInstalled, stop

PROGRESS: Final = ("-nostats", "-progress", "pipe:1", "-stats_period", "0.25", "-loglevel", "warning")


class Written(NamedTuple):
    """By ffmpeg's own word: frames of video, and the time of the last thing written, in seconds."""

    frames: int
    seconds: float


def follow(ctx: Context[Any, Any], argv: Sequence[str], meter: Meter, *, preset: str) -> Written:
    """Run an ffmpeg that was told to tell its `PROGRESS`, and show it on the meter, in seconds of the film.

    Raises:
        Stopped: NotInstalled, when this ffmpeg has no encoder for the preset.
        ProgramFailed: it failed in another way.
    """
    frames, seconds = 0, 0.0
    try:
        with ctx.program(argv) as lines:
            for line in lines:
                key, _, value = line.partition("=")
                if key == "frame":
                    frames = int(value)
                    meter.item(f"frame {frames}")
                elif key == "out_time_us" and value.lstrip("-").isdecimal():  # N/A before the first packet
                    seconds = max(int(value) / 1e6, seconds)
                    meter.at(seconds)
    except ProgramFailed as failed:
        if any("Unknown encoder" in line for line in failed.tail):
            stop(NotInstalled, f"{argv[0]} has no encoder for {preset}", where="this host", would_do="install another")
        raise
    meter.end()
    return Written(frames, seconds)
