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
from heavyjobs.jobs.trouble import NotInstalled, Refused, Stopped, Unreadable, stop

_BY_ITSELF: Final = {signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""How a file ends what reads it; SIGKILL comes from elsewhere, and SIGALRM may come of a slow disk."""


def examine(ctx: Context[Any, Any], path: Path, *, where: str, caps: Caps) -> Facts:
    """Say what a file is; `where` names it in errors.

    Raises:
        Stopped: Unreadable, when it is no media file; Refused, when it exceeds a cap; NotInstalled.
        ProgramFailed: the child was ended from outside.
    """
    argv = [sys.executable, "-P", examiner.__file__, FORMATS, _find_ffprobe() or "", str(path)]
    lines: list[str] = []
    try:
        with ctx.program(argv) as said:
            lines.extend(said)
    except ProgramFailed as failed:
        _explain(failed, where)
    facts = read_facts(json.loads("\n".join(lines), strict=False))
    if fault := over(facts, caps):
        stop(Refused, fault, where=where, would_do="raise that cap, if such files are expected")
    return facts


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
    if failed.code is None and failed.signal not in _BY_ITSELF:
        raise failed
    last = failed.tail[-1].rpartition(": ")[2] if failed.tail else "what reads it says nothing"
    why = last if failed.code else f"what reads it is ended by {signal.Signals(failed.signal or 0).name}"
    stop(Unreadable, f"is no media file that can be read: {why}", where=where, would_do="check that it is whole")
