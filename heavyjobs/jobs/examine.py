"""Have a file examined by a limited child process, before anything else is done with it.

Guarantees: no other file is read, whatever this one names; the child's memory, processor and wall time are limited, so that a
file that crashes or stalls what reads it costs only an error.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs import examiner
from heavyjobs.jobs.facts import Caps, Facts, over, read_facts
from heavyjobs.jobs.media import FORMATS, find_ffmpeg
from heavyjobs.jobs.trouble import NotInstalled, OutputWrong, Refused, Stalled, Stopped, Unreadable, stop

_BY_ITSELF: Final = {signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""How a file ends what reads it; SIGKILL comes from elsewhere, and SIGALRM of a disk that does not answer."""


def examine(ctx: Context[Any, Any], path: Path, *, where: str, caps: Caps | None = None) -> Facts:
    """Say what a file is; `where` names it in errors.

    Args:
        caps: as parameters set them; without, those that hold for every file that is worked on.

    Raises:
        Stopped: Unreadable, when it is no media file; Refused, when it exceeds a cap; Stalled, when two minutes are not enough;
            NotInstalled.
        ProgramFailed: the child was ended from outside.
    """
    argv = [sys.executable, "-P", examiner.__file__, FORMATS, _find_ffprobe() or "", str(path)]
    lines: list[str] = []
    try:
        with ctx.program(argv) as said:
            lines.extend(said)
    except ProgramFailed as failed:
        _explain(failed, where)
    try:
        facts = read_facts(json.loads("\n".join(lines), strict=False))  # a line that was cut has a line's end in a name
    except ValueError:
        would_do = "check that it is whole"
        stop(Unreadable, "says of itself what cannot be understood", where=where, would_do=would_do)
    if fault := over(facts, caps or Caps()):
        would_do = fault.instead if caps is None else f"raise {fault.parameter}, if such files are expected"
        stop(Refused, fault.what, where=where, would_do=would_do)
    return facts


def examine_made(ctx: Context[Any, Any], path: Path, *, where: str) -> Facts:
    """Say what a file is that was made here.

    Raises:
        Stopped: OutputWrong, when it is no media file; else as `examine`.
    """
    try:
        return examine(ctx, path, where=where)
    except Stopped as stopped:
        if isinstance(stopped.trouble, Unreadable):
            stop(OutputWrong, stopped.trouble.what, where=where, would_do="try again, and see ffmpeg's lines in the log")
        raise


def _find_ffprobe() -> str | None:
    """The one beside the ffmpeg that is used, or of the PATH."""
    try:
        beside: Path | None = Path(find_ffmpeg()).with_name("ffprobe")
    except Stopped:
        beside = None
    return str(beside) if beside is not None and beside.is_file() else shutil.which("ffprobe")


def _explain(failed: ProgramFailed, where: str) -> NoReturn:
    if failed.code == examiner.NO_READER:
        what = "there is neither ffprobe nor PyAV"
        stop(NotInstalled, what, where="this host", would_do="install ffmpeg, or pip install heavyjobs[media]")
    if failed.signal == signal.SIGALRM:
        what = f"could not be looked at within {examiner.WALL_SECONDS} s"
        stop(Stalled, what, where=where, would_do="see whether the disks answer")
    if failed.code is None and failed.signal not in _BY_ITSELF:
        raise failed
    last = failed.tail[-1].rpartition(": ")[2] if failed.tail else "what reads it says nothing"
    why = last if failed.code else f"what reads it is ended by {signal.Signals(failed.signal or 0).name}"
    stop(Unreadable, f"is no media file that can be read: {why}", where=where, would_do="check that it is whole")
