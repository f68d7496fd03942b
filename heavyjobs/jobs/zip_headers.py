"""What the directory of a zip file says, held against what stands before each member's data.

Readers that believe the one, and readers that believe the other, would see different archives; so would those that read from
the front, where an entry lies between two members that the directory does not name. Entries that share bytes unpack to far more
than the file could hold (David Fifield, 2019). `zipfile` compares the names only, and some supported Pythons extract what
overlaps.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from typing import BinaryIO, Final, NoReturn

from heavyjobs.jobs.zip_names import name_bytes, names_fault

DICTIONARY_MAX_BYTES: Final = 128 << 20
"""What a member compressed with LZMA may make us allocate; the directory has no say in it."""

DIRECTORY_MAX_BYTES: Final = 128 << 20
"""Of the directory, which is held in memory, ten times as large: for more than a million members."""

GAP_MAX_BYTES: Final = 16 << 20
"""Between two members, or the last one and the directory: what sums, alignment and Android's signatures need."""

_LOCAL_MARK: Final = b"PK\3\4"
_LOCAL_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_LZMA_PROPERTIES_BYTES: Final = 9
_ENCRYPTED: Final = 0x1
_SIZES_FOLLOW: Final = 0x8
_IN_EXTRA: Final = 0xFFFFFFFF
"""Instead of a size: it stands in the zip64 field."""

Fault = Callable[[zipfile.ZipInfo, str], NoReturn]


def check_headers(opened: zipfile.ZipFile, file: BinaryIO, *, fault: Fault) -> None:
    """Call `fault` with a member and what is wrong with it, in the order in which members lie in the file."""
    end, last = 0, None
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        if what := _between(file, end, info.header_offset):
            fault(info, what)
        end, last = _end_of(info, file, fault), info
        if end > opened.start_dir:
            fault(info, "overlaps the directory")
    if last is not None and (what := _between(file, end, opened.start_dir)):
        fault(last, what)


def _between(file: BinaryIO, end: int, start: int) -> str | None:
    """What is wrong with the bytes between a member and what comes next; none may stand in front of the first."""
    length = start - end
    if length < 0:
        return "overlaps another member"
    if not end and length:
        return f"is the first, and has {length} bytes in front of it that are none of the archive"
    if length < _LOCAL_HEADER.size:
        return None
    if length > GAP_MAX_BYTES:
        return f"has {length} bytes beside it that are none of the archive"
    hides = _LOCAL_MARK in os.pread(file.fileno(), length, end)
    return "has another beside it that the directory does not name" if hides else None


def _end_of(info: zipfile.ZipInfo, file: BinaryIO, fault: Fault) -> int:
    """Where the data of a member end, whose header says what the directory says."""
    name = name_bytes(info)
    header = os.pread(file.fileno(), _LOCAL_HEADER.size + len(name), info.header_offset)
    if len(header) < _LOCAL_HEADER.size:
        fault(info, "lies beyond the end of the file")
    fields = _LOCAL_HEADER.unpack_from(header)
    if what := _contradiction(info, fields):
        fault(info, what)
    if fields[9] != len(name) or header[_LOCAL_HEADER.size :] != name:
        fault(info, "has two names, by its two headers")
    extra = os.pread(file.fileno(), fields[10], info.header_offset + len(header)) if fields[10] else b""
    if what := names_fault(info, name, extra):
        fault(info, what)
    start: int = info.header_offset + _LOCAL_HEADER.size + fields[9] + fields[10]
    if info.compress_type == zipfile.ZIP_LZMA and _dictionary_bytes(file, start) > DICTIONARY_MAX_BYTES:
        fault(info, "needs too much memory to be unpacked")
    return start + info.compress_size


def _contradiction(info: zipfile.ZipInfo, fields: tuple[bytes, int, int, int, int, int, int, int, int, int, int]) -> str | None:
    mark, _, flags, method, _, _, crc, compressed, size, _, _ = fields
    if mark != _LOCAL_MARK:
        return "has no header where the directory says"
    if method != info.compress_type or (flags ^ info.flag_bits) & _ENCRYPTED:
        return "is stored in two ways, by its two headers"
    if flags & _SIZES_FOLLOW:
        return None
    pairs = ((crc, info.CRC), (compressed, info.compress_size), (size, info.file_size))
    if any(here not in {there, _IN_EXTRA} for here, there in pairs):
        return "has two sizes or sums, by its two headers"
    return None


def _dictionary_bytes(file: BinaryIO, start: int) -> int:
    """Of the decoder, by the properties in front of the data (appnote 5.8.8)."""
    properties = os.pread(file.fileno(), _LZMA_PROPERTIES_BYTES, start)
    return int.from_bytes(properties[5:9], "little")
