"""The files of an open database, and whether they are still there: who writes on after they were taken away loses it all.

SQLite notices nothing of that. A file that was removed or replaced takes writes for as long as it is open, and they are gone
with it; without the two files beside it, which hold its log and its locks, two processes damage the database together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

Inode: TypeAlias = tuple[int, int]

_SUFFIXES: Final = ("", "-wal", "-shm")


def inodes(path: Path) -> Mapping[str, Inode]:
    """What the database's names stand for now, of those that are there; of an open database all three are."""
    found = {f"{path}{suffix}": _inode(f"{path}{suffix}") for suffix in _SUFFIXES}
    return {name: inode for name, inode in found.items() if inode is not None}


def missing(known: Mapping[str, Inode]) -> Sequence[str]:
    """Of these files, those that are gone, or in whose place there is another."""
    return [name for name, inode in known.items() if _inode(name, unknown=inode) != inode]


def _inode(name: str, *, unknown: Inode | None = None) -> Inode | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - three times for each durable call
    except FileNotFoundError:
        return None
    except OSError:  # nobody may look; that says nothing about the file
        return unknown
    return found.st_dev, found.st_ino
