"""Whether a thing is written over what its target holds."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal, TypeAlias

from heavyjobs.storage import ANY, NEW, Condition, Found

Overwrite: TypeAlias = Literal["error", "skip", "if_newer", "overwrite"]
"""What to do about a target that exists: fail, leave it, replace it by a source that is newer, or replace it."""


class Leave(Enum):
    """Why a thing is not written."""

    TAKEN = auto()  # it may not be replaced
    KEPT = auto()  # it may stay
    OURS = auto()  # this job wrote it before it crashed


def decide(policy: Overwrite, source: Found, there: Found | None, *, maker: str) -> Condition | Leave:
    """On which condition to write; `there` is what the target holds, `maker` what this job would note beside it."""
    if there is None:
        return ANY if policy == "overwrite" else NEW
    if maker and there.notes.maker == maker and there.bytes == source.bytes:
        return Leave.OURS
    match policy:
        case "error":
            return Leave.TAKEN
        case "skip":
            return Leave.KEPT
        case "overwrite":
            return ANY
        case "if_newer":
            return Condition(there.version or None) if _newer(source, there) else Leave.KEPT


def _newer(one: Found, other: Found) -> bool:
    """By the times that both note, to the second: some places keep no more."""
    if one.notes.mtime is None or other.notes.mtime is None:
        return True
    return int(one.notes.mtime) > int(other.notes.mtime)
