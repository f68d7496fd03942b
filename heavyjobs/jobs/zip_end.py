"""The record at the end of a zip file, which says where its directory is; read so that no other reader can find another.

Some readers look for it from the end, some believe the first that fits, some the number of entries, some the length of the
directory, and some read from the front and never see it. An archive that is one to all of them begins with its first entry,
ends with this record and its comment, and has the directory just before it; all else is refused, what follows it as well as
what stands in front: also the program of a self-extractor, which nobody needs to keep.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

_MARK: Final = b"PK\5\6"
_END: Final = struct.Struct("<4s4H2IH")
_ROOM_BYTES: Final = _END.size + 0xFFFF
"""The record, and the longest comment after it."""
_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_BEFORE_MAX_BYTES: Final = _LOCATOR.size + _END64.size
_PROGRAMS: Final = (b"MZ", b"#!", b"\x7fELF")
"""How those files begin that unpack themselves."""
_IN_FRONT: Final = "has {} bytes in front that are none of it, like the program of a self-extractor"

Fault = Callable[[str], NoReturn]


@dataclass(frozen=True, slots=True)
class End:
    """What the record says of the directory.

    Attributes:
        entries: in it. start, bytes: where in the file it is, and how long.
    """

    entries: int
    start: int
    bytes: int


def is_program_with_zip(file: BinaryIO) -> bool:
    """Whether a file is a program, or a script, that ends as a zip file does."""
    return os.pread(file.fileno(), 4, 0).startswith(_PROGRAMS) and bool(_fitting(*_tail(file)))


def read_end(file: BinaryIO, *, fault: Fault) -> End:
    """Find the only record that there is; `fault` is called with what is wrong."""
    start, tail = _tail(file)
    last, fitting = tail.rfind(_MARK), _fitting(start, tail)
    if last < 0:
        fault("is no zip archive, or a truncated one: no record at its end")
    if not fitting:
        fault("is truncated, or holds more data after its end")
    if fitting != [last]:
        fault("has several ends, so that other readers would see another archive")
    end, at = _end(tail, last, start, fault)
    if end.start + end.bytes != at:
        between = at - end.start - end.bytes
        fault(_IN_FRONT.format(between) if between > 0 else "has its directory beyond its end, or is truncated")
    if not end.bytes and end.start:
        fault(_IN_FRONT.format(end.start))
    return end


def _tail(file: BinaryIO) -> tuple[int, bytes]:
    """Where the last part of the file begins, in which the record has to be, and that part."""
    size = os.fstat(file.fileno()).st_size
    start = max(size - _ROOM_BYTES - _BEFORE_MAX_BYTES, 0)
    return start, os.pread(file.fileno(), size - start, start)


def _fitting(start: int, tail: bytes) -> list[int]:
    """Where in the tail the records begin whose comment goes on to the end of the file."""
    found: list[int] = []
    at = tail.find(_MARK, 0 if start == 0 else _BEFORE_MAX_BYTES)
    while 0 <= at <= len(tail) - _END.size:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + _END.size + comment == len(tail):
            found.append(at)
        at = tail.find(_MARK, at + 1)
    return found


def _end(tail: bytes, at: int, start: int, fault: Fault) -> tuple[End, int]:
    """What the record says, and where the directory has to end: there, or at zip64's record (appnote 4.3.14 to 4.3.16)."""
    _, disk, first_disk, here, entries, size, offset, _ = _END.unpack_from(tail, at)
    if disk or first_disk or here != entries:
        fault("is a part of an archive that is in several files")
    before = tail[max(at - _BEFORE_MAX_BYTES, 0) : at]
    locator = before[-_LOCATOR.size :]
    if locator[:4] != b"PK\6\7" or len(locator) < _LOCATOR.size:
        return End(entries, offset, size), start + at
    if len(before) < _BEFORE_MAX_BYTES or before[:4] != b"PK\6\6":
        fault("has no zip64 record where it should be")
    place = start + at - _BEFORE_MAX_BYTES
    _, length, _, _, disk, first_disk, here, *wide = _END64.unpack_from(before)
    narrow = zip((entries, size, offset), (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), wide, strict=True)
    if disk or first_disk or here != wide[0] or any(value not in {full, said} for value, full, said in narrow):
        fault("has two ends that say different things")
    _, on_disk, offset64, disks = _LOCATOR.unpack(locator)
    if length != _END64.size - 12 or on_disk or disks > 1 or offset64 != place:
        fault("has two ends that say different things, or bytes in front that are none of it")
    return End(wide[0], wide[2], wide[1]), place
