"""What a sync has to do: pure, from two listings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeAlias

from heavyjobs.storage import Found

Compare: TypeAlias = Literal["time", "size", "content"]


class Plan(NamedTuple):
    """Names, in the order of their parts. `doubtful` have the same size on both sides, and want their bytes compared."""

    copy: list[str]
    delete: list[str]
    keep: list[str]
    doubtful: list[str]


def plan(source: Mapping[str, Found], target: Mapping[str, Found], *, compare: Compare, delete: bool) -> Plan:
    """Compare listings: what is missing on the target or differs is copied, what only the target has is deleted if wanted."""
    made = Plan([], [], [], [])
    for name in sorted(source, key=lambda name: name.split("/")):
        there = target.get(name)
        if there is None or there.bytes != source[name].bytes:
            made.copy.append(name)
        elif compare == "content":
            made.doubtful.append(name)
        elif compare == "time" and _newer(source[name], there):
            made.copy.append(name)
        else:
            made.keep.append(name)
    if delete:
        made.delete.extend(sorted(target.keys() - source.keys(), key=lambda name: name.split("/")))
    return made


def wanted(name: str, *, include: Collection[str], exclude: Collection[str]) -> bool:
    """Whether filters let a name through: patterns of whole names, or of any part of them, like `*.tmp` or `.git`."""
    return (not include or _matches(name, include)) and not _matches(name, exclude)


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(one, pattern) for pattern in patterns for one in (name, *name.split("/")))


def _newer(source: Found, there: Found) -> bool:
    """To the second, which is what all places keep; one that keeps no times is taken for old."""
    if source.notes.mtime is None or there.notes.mtime is None:
        return True
    return int(source.notes.mtime) > int(there.notes.mtime)
