"""What the directory of a zip file says, held against what stands before each member's data.

Readers that believe the one, and readers that believe the other, would see different archives; and entries that share bytes
unpack to far more than the file could hold (David Fifield, 2019). `zipfile` compares the names only, and some supported Pythons
extract what overlaps.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from typing import BinaryIO, Final, NoReturn

DICTIONARY_MAX_BYTES: Final = 128 << 20
"""What a member compressed with LZMA may make us allocate; the directory has no say in it."""

DIRECTORY_MAX_BYTES: Final = 128 << 20
"""Of the directory, which is held in memory, ten times as large: for more than a million members."""

_END: Final = struct.Struct("<4s8xII")
_END_ROOM_BYTES: Final = 22 + 0xFFFF
"""The end record, and the longest comment after it."""
_END64_LOCATOR_BYTES: Final = 20
_END64: Final = struct.Struct("<4s36xQ")
_LOCAL_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_LZMA_PROPERTIES_BYTES: Final = 9
_ENCRYPTED: Final = 0x1
_SIZES_FOLLOW: Final = 0x8
_IN_EXTRA: Final = 0xFFFFFFFF
"""Instead of a size: it stands in the zip64 field."""

Fault = Callable[[zipfile.ZipInfo, str], NoReturn]


def directory_bytes(file: BinaryIO) -> int:
    """How long the directory says it is, in the record at the end; 0 where there is none (appnote 4.3.14, 4.3.16)."""
    size = os.fstat(file.fileno()).st_size
    start = max(size - _END_ROOM_BYTES - _END64_LOCATOR_BYTES, 0)
    tail = os.pread(file.fileno(), size - start, start)
    at = tail.rfind(b"PK\5\6")
    if not 0 <= at <= len(tail) - _END.size:
        return 0
    _, length, _ = _END.unpack_from(tail, at)
    locator = tail[max(at - _END64_LOCATOR_BYTES, 0) : at]
    if locator[:4] != b"PK\6\7" or len(locator) < _END64_LOCATOR_BYTES:
        return int(length)
    record = os.pread(file.fileno(), _END64.size, min(int.from_bytes(locator[8:16], "little"), size))
    return int(_END64.unpack(record)[1]) if record[:4] == b"PK\6\6" and len(record) == _END64.size else int(length)


def check_headers(opened: zipfile.ZipFile, file: BinaryIO, *, fault: Fault) -> None:
    """Call `fault` with a member and what is wrong with it, in the order in which members lie in the file."""
    end = 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            fault(info, "overlaps another member")
        header = os.pread(file.fileno(), _LOCAL_HEADER.size, info.header_offset)
        if len(header) < _LOCAL_HEADER.size:
            fault(info, "lies beyond the end of the file")
        fields = _LOCAL_HEADER.unpack(header)
        if what := _contradiction(info, fields):
            fault(info, what)
        start = info.header_offset + _LOCAL_HEADER.size + fields[9] + fields[10]
        end = start + info.compress_size
        if info.compress_type == zipfile.ZIP_LZMA and _dictionary_bytes(file, start) > DICTIONARY_MAX_BYTES:
            fault(info, "needs too much memory to be unpacked")
        if end > opened.start_dir:
            fault(info, "overlaps the directory")


def _contradiction(info: zipfile.ZipInfo, fields: tuple[bytes, int, int, int, int, int, int, int, int, int, int]) -> str | None:
    mark, _, flags, method, _, _, crc, compressed, size, _, _ = fields
    if mark != b"PK\3\4":
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
