"""Walk over the blocks of a rar file, which libarchive does too, but without noticing that the last ones are missing.

Nor does it tell one part of several from an archive, see that the data of a RAR 5 are encrypted, or check the sums of members
that are stored without compression (tried with 3.6.2): they are collected here. Only sizes, flags and sums are read.
(RAR 5: rarlab.com/technote.htm; RAR 3: technote.txt of the old unrar.)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

Fault = Callable[[str], NoReturn]

BLOCKS_MAX: Final = 2_000_000
PARTS: Final = "is a part of an archive that is in several files"
ENCRYPTED: Final = "is encrypted"
TRUNCATED: Final = "is truncated or damaged: no end mark, as every RAR since 3.0 writes it"
_OLD: Final = b"Rar!\x1a\x07\0"
_NEW: Final = b"Rar!\x1a\x07\1\0"

_HEADER_3_BYTES, _HEADER_3_MIN_BYTES = 36, 7
_HAS_DATA_3, _IS_LARGE_3 = 0x8000, 0x100
_MAIN_3, _FILE_3, _SERVICE_3, _END_3 = 0x73, 0x74, 0x7A, 0x7B

_HEADER_5_BYTES: Final = 96
"""The sizes, flags and sum take no more."""
_HEADER_5_MAX_BYTES: Final = 2 << 20
_MAIN_5, _FILE_5, _ENCRYPTION_5, _END_5 = 1, 2, 4, 5
_EXTRA_ENCRYPTION, _EXTRA_HASH, _EXTRA_LINK = 1, 2, 5
_BLAKE2SP_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Rar:
    """What the blocks say of the whole.

    Attributes:
        sums: of each member's bytes: its CRC-32, its BLAKE2sp (32 bytes), or none, in the order of the file.
        solid: whether a member can only be read after those before it.
    """

    sums: list[bytes]
    solid: bool


def check_rar(file: BinaryIO, *, fault: Fault) -> Rar:
    """Walk to the end; `fault` is called with what is wrong."""
    size = os.fstat(file.fileno()).st_size
    start = os.pread(file.fileno(), len(_NEW), 0)
    if start == _NEW:
        return _walk(_Walk5(file, fault), len(_NEW), size, fault)
    if not start.startswith(_OLD):
        fault("is no rar archive of a known version")
    return _walk(_Walk3(file, fault), len(_OLD), size, fault)


def _walk(blocks: _Walk3 | _Walk5, at: int, size: int, fault: Fault) -> Rar:
    left = BLOCKS_MAX
    while not blocks.ended:
        at = blocks.pass_over(at)  # by one byte at least
        left -= 1
        if at > size:
            fault(TRUNCATED)
        if left < 0:
            fault(f"has more than {BLOCKS_MAX:,} blocks")
    if at < size:
        fault(f"holds {size - at:,} more bytes after its end")
    return Rar(blocks.sums, blocks.solid)


class _Walk3:
    """RAR 1.5 to 4."""

    def __init__(self, file: BinaryIO, fault: Fault) -> None:
        self._file: Final = file
        self._fault: Final = fault
        self.sums: Final[list[bytes]] = []
        self.solid = self.ended = False

    def pass_over(self, at: int) -> int:
        """Where the block ends that begins there, with its data."""
        header = os.pread(self._file.fileno(), _HEADER_3_BYTES, at).ljust(_HEADER_3_BYTES, b"\0")
        _, kind, flags, length = struct.unpack_from("<HBHH", header)
        if length < _HEADER_3_MIN_BYTES:
            self._fault(TRUNCATED)
        if kind == _MAIN_3:
            self._check(flags, encrypted=0x80, part=0x1)
            self.solid = bool(flags & 0x8)
        elif kind == _FILE_3:
            self._check(flags, encrypted=0x4, part=0x3)
            self.sums.append(header[19:15:-1])
        elif kind == _END_3:
            self._check(flags, encrypted=0, part=0x1)
            self.ended = True
        return int(at + length + _data_bytes_3(kind, flags, header))

    def _check(self, flags: int, *, encrypted: int, part: int) -> None:
        if flags & encrypted:
            self._fault(ENCRYPTED)
        if flags & part:
            self._fault(PARTS)


def _data_bytes_3(kind: int, flags: int, header: bytes) -> int:
    low, high = struct.unpack_from("<I", header, 7)[0], struct.unpack_from("<I", header, 32)[0]
    if not flags & _HAS_DATA_3:
        return 0
    return int(high << 32 | low) if kind in {_FILE_3, _SERVICE_3} and flags & _IS_LARGE_3 else int(low)


class _Walk5:
    """RAR 5 and later: numbers of seven bits a byte, the lowest first."""

    def __init__(self, file: BinaryIO, fault: Fault) -> None:
        self._file: Final = file
        self._fault: Final = fault
        self.sums: Final[list[bytes]] = []
        self.solid = self.ended = False

    def pass_over(self, at: int) -> int:
        """Where the block ends that begins there, with its data."""
        numbers = _Numbers(os.pread(self._file.fileno(), _HEADER_5_BYTES, at), 4)
        try:
            length = numbers.next()
            end = at + numbers.at + length
            kind, flags = numbers.next(), numbers.next()
            extra = numbers.next() if flags & 0x1 else 0
            data = numbers.next() if flags & 0x2 else 0
            if not 0 < length <= _HEADER_5_MAX_BYTES or extra > length:
                self._fault(TRUNCATED)
            self._judge(kind, flags, numbers)
            if kind == _FILE_5:
                self._note(numbers, _Numbers(os.pread(self._file.fileno(), extra, end - extra), 0))
        except IndexError:
            self._fault(TRUNCATED)
        return end + data

    def _judge(self, kind: int, flags: int, numbers: _Numbers) -> None:
        if kind == _ENCRYPTION_5:
            self._fault(ENCRYPTED)
        if kind == _FILE_5 and flags & 0x18:  # it goes on from, or in, another file
            self._fault(PARTS)
        if kind in {_MAIN_5, _END_5}:
            its_flags = numbers.next()
            if its_flags & 0x1:
                self._fault(PARTS)
            self.solid |= kind == _MAIN_5 and bool(its_flags & 0x4)
            self.ended |= kind == _END_5

    def _note(self, header: _Numbers, extra: _Numbers) -> None:
        """The sum of a file: behind its flags, size, attributes and time, or in one of the records after its name."""
        flags, _, _ = header.next(), header.next(), header.next()
        if flags & 0x2:
            header.bytes(4)
        crc = header.bytes(4)[::-1] if flags & 0x4 else b""
        blake2sp, is_link = b"", False
        while extra.left:
            length = extra.next()
            record = _Numbers(extra.bytes(length), 0)
            kind = record.next()
            if kind == _EXTRA_ENCRYPTION:
                self._fault(ENCRYPTED)
            is_link |= kind == _EXTRA_LINK  # what it says stands in the header, and has its sum
            if kind == _EXTRA_HASH and record.next() == 0:
                blake2sp = record.bytes(_BLAKE2SP_BYTES)
        self.sums.append(b"" if is_link else crc or blake2sp)


class _Numbers:
    """Numbers of variable length, one after the other.

    Raises:
        IndexError: there are no more bytes, or one is too long.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data: Final = data
        self.at = at

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def bytes(self, amount: int) -> bytes:
        if amount > self.left:
            raise IndexError
        self.at += amount
        return self._data[self.at - amount : self.at]

    def next(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise IndexError
