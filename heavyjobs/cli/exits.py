"""Exit codes, named, and the errors that lead to them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from heavyjobs.errors import HeavyjobsError, StoreError
from heavyjobs.model import JobState


class Exit(IntEnum):
    OK = 0
    DEAD = 1
    USAGE = 2
    DATABASE = 3
    CANCELLED = 4
    TIMED_OUT = 5
    UNSOUND = 6
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.OK: "done; a job that was waited for has succeeded",
    Exit.DEAD: "the job is dead",
    Exit.USAGE: "a mistake in options, parameters or configuration; no such kind or job; its state does not allow that",
    Exit.DATABASE: "the database is out of reach, or its schema does not fit",
    Exit.CANCELLED: "the job was cancelled",
    Exit.TIMED_OUT: "waited for long enough; the job goes on",
    Exit.UNSOUND: "doctor has found something wrong",
    Exit.BUG: "a bug in heavyjobs",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
    Exit.PIPE_CLOSED: "the reader of the output went away",
}


def of_error(error: HeavyjobsError) -> Exit:
    return Exit.DATABASE if isinstance(error, StoreError) else Exit.USAGE


def of_state(state: JobState) -> Exit:
    """Of a command that waited for a job until it was in that state."""
    match state:
        case JobState.SUCCEEDED:
            return Exit.OK
        case JobState.DEAD:
            return Exit.DEAD
        case JobState.CANCELLED:
            return Exit.CANCELLED
        case _:
            return Exit.TIMED_OUT
