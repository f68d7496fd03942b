"""What a disk may hold after a power cut: all that was synced, and of the rest whatever it pleases.

Of the writes since the last sync of their file each may be there, be missing, or be there in some of its sectors, in any order
and without regard to other files; a name that was made or removed since the last sync of the folder likewise. What nobody
has written stays as it is (SQLite assumes that of a disk too: https://sqlite.org/psow.html).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import assert_never

from tests.faults.power.recording import Created, Event, FolderSynced, Remark, Removed, Synced, Truncated, Written


class Keeps(Enum):
    """What the disk keeps of that which was not synced."""

    NOTHING = "nothing"
    ALL = "all"
    FIRST = "the first so many, the last of them torn"
    SOME = "some writes, whole"
    SECTORS = "some sectors of 512 bytes"
    PAGES = "some sectors of 4,096 bytes"
    GARBAGE = "some sectors of 512 bytes, and garbage in others"


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Written | Truncated]] = field(default_factory=list[tuple[int, Written | Truncated]])


class Disk:
    """A folder and its files, as of the events that were applied to it."""

    def __init__(self) -> None:
        self._applied = 0
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._renamed: list[tuple[int, Created | Removed]] = []

    def apply(self, event: Event) -> None:
        """Take in the next event of a recording."""
        match event:
            case Created(_, file):
                self._files[file] = _File()
                self._renamed.append((self._applied, event))
            case Removed():
                self._renamed.append((self._applied, event))
            case Written(file, _, _) | Truncated(file, _):
                self._files[file].pending.append((self._applied, event))
            case Synced(file, before):
                self._sync(self._files[file], before)
            case FolderSynced(before):
                for at, change in self._renamed:
                    if at < before:
                        _rename(self._names, change)
                self._renamed = [(at, change) for at, change in self._renamed if at >= before]
            case Remark():
                pass
            case _:
                assert_never(event)
        self._applied += 1

    def cut(self, keeps: Keeps, rng: Random) -> dict[str, bytes]:
        """The files that there may be if the power goes now."""
        first = rng.randint(0, self._applied)
        names = dict(self._names)
        stopped: set[str] = set()
        for at, change in self._renamed:
            if change.name not in stopped and _kept(keeps, rng, at=at, first=first):
                _rename(names, change)
            else:
                stopped.add(change.name)  # of one name, changes are in order
        return {name: bytes(self._survivor(self._files[file], keeps, rng, first)) for name, file in names.items()}

    def _sync(self, file: _File, before: int) -> None:
        for at, change in file.pending:
            if at < before:
                _change(file.durable, change)
        file.pending = [(at, change) for at, change in file.pending if at >= before]

    def _survivor(self, file: _File, keeps: Keeps, rng: Random, first: int) -> bytearray:
        content = bytearray(file.durable)
        for at, change in file.pending:
            match change, keeps:
                case Written(), Keeps.SECTORS:
                    _tear(content, change, rng, sector=512)
                case Written(), Keeps.PAGES:
                    _tear(content, change, rng, sector=4096)
                case Written(), Keeps.GARBAGE:
                    _tear(content, change, rng, sector=512, garbage=True)
                case Written(), Keeps.FIRST if at == first - 1:
                    _tear(content, change, rng, sector=512)
                case _ if _kept(keeps, rng, at=at, first=first):
                    _change(content, change)
                case _:
                    pass
        return content


def _kept(keeps: Keeps, rng: Random, *, at: int, first: int) -> bool:
    match keeps:
        case Keeps.NOTHING:
            return False
        case Keeps.ALL:
            return True
        case Keeps.FIRST:
            return at < first
        case _:
            return rng.random() < 0.5


def _tear(content: bytearray, write: Written, rng: Random, *, sector: int, garbage: bool = False) -> None:
    """Keep some of a write's sectors; a sector is where the disk says, wherever the write begins."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // sector + 1) * sector)
        piece = write.data[start - write.offset : stop - write.offset]
        match rng.randrange(3 if garbage else 2):
            case 0:
                _put(content, start, piece)
            case 2:
                _put(content, start, rng.randbytes(len(piece)))
            case _:
                pass
        start = stop


def _change(content: bytearray, change: Written | Truncated) -> None:
    match change:
        case Written(_, offset, data):
            _put(content, offset, data)
        case Truncated(_, size):
            del content[size:]
            content.extend(bytes(size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _rename(names: dict[str, int], change: Created | Removed) -> None:
    match change:
        case Created(name, file):
            names[name] = file
        case Removed(name):
            names.pop(name, None)
