"""What stands in an archive or a folder, whatever its format, and which names are let through.

folder ──▶ tree.py ─────┐                              ┌──▶ writers.py ────▶ a new archive
archive ─▶ readers.py ──┴─▶ (Member, its bytes) ... ───┴──▶ extracting.py ─▶ new_folder.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from heavyjobs.jobs.trouble import Refused, shown, stop

REPRODUCIBLE_TIME: Final = 315532800
"""1980-01-01 in UTC, the first that a zip can say."""

_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")
_SEPARATORS: Final = re.compile(r"[/\\]")


class Sort(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"  # to a file that came earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry, without its bytes.

    Attributes:
        name: relative, separated by `/`, as `safe_name` lets it through; undecodable bytes are surrogates.
        size: of a file, in bytes; 0 for all else.
        mtime_ns: nanoseconds since 1970. mode: permission bits.
        link: what a symlink says, or the name of the file that a hard link is another name of.
        sparse: whether a file was stored without its long runs of zeros; its bytes have them all the same.
    """

    name: str
    sort: Sort
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0o644
    link: str = ""
    sparse: bool = False


class Data(Protocol):
    """The bytes of a file that comes."""

    def read(self, size: int, /) -> bytes: ...


def reproducible(member: Member) -> Member:
    """The same member without what differs between two checkouts of the same files."""
    is_open = member.sort is not Sort.FILE or member.mode & 0o100
    return replace(member, mtime_ns=REPRODUCIBLE_TIME * 10**9, mode=0o755 if is_open else 0o644)


def safe_name(raw: str, *, archive: str) -> str:
    """A member's name without `./` and doubled slashes; empty for the root itself.

    Raises:
        Stopped: Refused, for a name that could leave the folder it is extracted to, on any system.
    """
    fault = name_fault(raw)
    if fault:
        stop(Refused, f"the member {shown(raw)!r} {fault}", where=archive, would_do="make the archive again without it")
    if "//" in raw or "./" in raw or raw[-1] in "/.":
        return "/".join(part for part in raw.split("/") if part not in {"", "."})
    return raw


def name_fault(raw: str) -> str | None:
    """What is wrong with a name that could escape, or is none."""
    if not raw:
        return "has no name"
    if raw.startswith(("/", "\\")) or _DRIVE.match(raw):
        return "has an absolute name"
    if ".." in raw and ".." in _SEPARATORS.split(raw):
        return "has a name with .."
    if "\0" in raw:
        return "has a name with NUL"
    return None
