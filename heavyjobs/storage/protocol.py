"""The small protocol that every kind of place speaks: stat, list, read a range, put a part, commit, copy, delete.

A place guarantees:
- a key holds nothing, or what one `put` or `commit` gave it, whole: parts are invisible until they are committed;
- a write with a condition happens only if it holds, and raises `AlreadyThere` else; where a server ignores conditions, a look
  beforehand is all there is;
- parts of an upload that `parts` lists are kept even if this process is killed;
- every call may be made from any thread, and may be repeated; it raises only `StorageFailed` (on this host also `OSError`),
  within `STALL_SECONDS` of silence.

It assumes keys that `keys.key_fault` let through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

STALL_SECONDS: Final = 20.0
"""For how long a server may say nothing before the call counts as failed."""

PIECE_BYTES: Final = 1 << 18
"""Of what a range yields at a time, so that a request to stop and a limit on bandwidth are soon heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What is kept beside the bytes, where a place can.

    Attributes:
        mtime: when the content was made, seconds since 1970.
        maker: who wrote it (a job, and from which version), so that it knows its own work again after a crash.
        sha256: of the content, if the writer knew it beforehand.
    """

    mtime: float | None = None
    maker: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies under a key.

    Attributes:
        version: two equal ones mean equal bytes (an ETag, or size and time); empty where a place has no such thing.
        notes: from `stat`; `walk` knows the time at most.
    """

    key: str
    bytes: int
    version: str
    notes: Notes = Notes()


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is kept; numbers count from 1. `tag` is what the place wants to hear at the commit."""

    number: int
    bytes: int
    tag: str


@dataclass(frozen=True, slots=True)
class Condition:
    """When a write may happen: `NEW` if nothing is there, `ANY` always, `Condition(version)` over just that version."""

    version: str | None
    new: bool = False


NEW: Final = Condition(None, new=True)
ANY: Final = Condition(None)


@dataclass(frozen=True, slots=True)
class Limits:
    """What parts may be, in bytes (`smallest` does not hold for the last one), and how many there may be."""

    smallest: int
    largest: int
    count: int


class Source(Protocol):
    """A place to read from."""

    @property
    def skipped(self) -> int:
        """How many things `walk` left out so far because they have no bytes: links, sockets, devices."""
        ...

    def stat(self, key: str) -> Found | None:
        """What lies under exactly this key; None when nothing does."""
        ...

    def walk(self, key: str) -> Iterator[Found]:
        """All that lies below a key, as below a folder, in no order."""
        ...

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        """The bytes of a range, in pieces; all of them, or an exception.

        Raises:
            Changed: another version is there by now.
        """
        ...

    def close(self) -> None: ...


class Storage(Source, Protocol):
    """A place to write to as well."""

    limits: ClassVar[Limits]
    keeps_notes: ClassVar[bool]
    """Whether `stat` gives back who made a thing, and not its time alone."""
    keeps_times: ClassVar[bool]
    """Whether `stat` gives back the time that a writer noted."""

    def put(self, key: str, data: bytes, *, notes: Notes, condition: Condition) -> None:
        """Write a whole object at once."""
        ...

    def begin(self, key: str, *, notes: Notes) -> str:
        """Open an upload; what is given back names it, for any process."""
        ...

    def put_part(self, key: str, upload: str, *, number: int, start: int, data: bytes) -> Part:
        """Keep a part; a part of that number which was there before is replaced."""
        ...

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        """Those that are kept.

        Raises:
            NotThere: the upload was committed, aborted, or swept away.
        """
        ...

    def read_part(self, key: str, upload: str, part: Part, *, start: int) -> bytes | None:
        """What a part holds; None where a place gives nothing back before the commit."""
        ...

    def commit(self, key: str, upload: str, parts: Sequence[Part], *, notes: Notes, condition: Condition) -> None:
        """Make the parts the content of the key, in one step."""
        ...

    def abort(self, key: str, upload: str) -> None:
        """Forget an upload; harmless when it is gone."""
        ...

    def copies_from(self, source: Source) -> bool:
        """Whether `copy` can: the bytes then never come here."""
        ...

    def copy(self, source: Source, found: Found, key: str, *, notes: Notes, condition: Condition) -> None:
        """Have the server copy from `source`."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; harmless when it is gone."""
        ...


def part_bytes(total: int, *, wanted: int, limits: Limits) -> int:
    """How large parts should be: as wanted, but no more of them than a place takes.

    Raises:
        ValueError: the object is too large for the place.
    """
    least = -(-total // limits.count)
    size = max(wanted, least, limits.smallest)
    if least > limits.largest:
        raise ValueError(f"{total} bytes are more than {limits.count} parts of {limits.largest} bytes can hold")
    return min(size, limits.largest)
