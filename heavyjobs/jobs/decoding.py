"""Whether a file that was made can be decoded to its end, without a complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.encode import PROGRESS, follow
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import OutputWrong, stop
from heavyjobs.jobs.watchdog import Bounds

_UNFILTERED: Final = ("-skip_loop_filter", "all")
"""Edges are not smoothed: that reads no bit and can find nothing, but takes a tenth of the time."""


def decode_all(ctx: Context[Any, Any], path: Path, meter: Meter, *, frames: int, threads: int, bounds: Bounds) -> None:
    """Decode all of a file that should have so many pictures; 0 for sound alone. Errors name it by its file's name.

    Raises:
        Stopped: OutputWrong, when ffmpeg complains, or other pictures come out; Stalled.
        ProgramFailed: it was ended from outside.
    """
    meter.start("decoding", total=None, unit="seconds")
    options = ["-threads", str(threads), *(_UNFILTERED if frames else ())]
    start = reading(find_ffmpeg(), path, options=options)
    command = [*start, *PROGRESS, "-xerror", "-map", "0", "-fps_mode", "passthrough", "-f", "null", "-"]
    fault: str | None = None
    try:
        decoded = follow(ctx, command, meter, made="decoding", bounds=bounds).frames
        if decoded != frames:
            fault = f"decodes to {decoded} frames instead of {frames}"
    except ProgramFailed as failed:
        if failed.code is None:
            raise
        fault = f"cannot be decoded: {failed.tail[-1] if failed.tail else 'ffmpeg says nothing'}"
    if fault is not None:
        stop(OutputWrong, fault, where=path.name, would_do="try again, and see ffmpeg's lines in the log")
