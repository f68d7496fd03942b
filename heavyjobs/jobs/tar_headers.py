"""Headers of the common sort in a tar, read and written many times as fast as `tarfile` does, which stays for all others.

What is read here says what `tarfile` would say of it, and what is written is what `tarfile` would write, byte for byte;
whatever is not plain gives None. Whose a member is, and which device, is not looked at.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import adler32

BLOCK: Final = tarfile.BLOCKSIZE
EXTENDED_MAX_BYTES: Final = 16 << 10
"""Of records that are read here: a longer header is a rare one."""

_HEADER: Final = struct.Struct("<100s8s16x12s12s8sc100s80x8x155s12x")
_KINDS: Final = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.XHDTYPE}
_KNOWN: Final = {b"path", b"linkpath", b"mtime"}
IGNORED: Final = {"atime", "ctime", "uid", "gid", "uname", "gname", "comment"}
"""Records that say nothing which is kept."""
_IGNORED: Final = {key.encode() for key in IGNORED}
_SECONDS_MAX_DIGITS: Final = 11

_NAME_BYTES: Final = 100
_OCTAL_ROOM: Final = 8**11
_BLANK: Final = tarfile.TarInfo("").tobuf(tarfile.PAX_FORMAT)
_OWNERS: Final = _BLANK[108:124]
_TAIL: Final = _BLANK[257:]


class Header(NamedTuple):
    """What a header says.

    Attributes:
        kind: as in `tarfile`. size: as stored; only files have bytes. mtime_ns: nanoseconds since 1970.
    """

    name: str
    kind: bytes
    mode: int
    size: int
    mtime_ns: int
    link: str


def header_in(block: bytes) -> Header | None:
    """What a block of 512 bytes says, or None for one that only `tarfile` shall judge."""
    if len(block) != BLOCK:
        return None
    name, mode, size, mtime, checksum, kind, link, prefix = _HEADER.unpack(block)
    if kind not in _KINDS:
        return None
    try:
        numbers = _octal(mode), _octal(size), _octal(mtime)
        if _octal(checksum) != _sum(block) - sum(checksum) + 8 * 0x20:
            return None
    except ValueError:
        return None
    if min(numbers) < 0:
        return None
    text = _text(name)
    if prefix[0]:
        text = f"{_text(prefix)}/{text}"
    if kind == tarfile.AREGTYPE and text.endswith("/"):
        kind = tarfile.DIRTYPE
    if kind == tarfile.DIRTYPE:
        text = text.rstrip("/")
    return Header(text, kind, numbers[0], numbers[1], numbers[2] * 10**9, _text(link))


def extended(header: Header, records: bytes) -> Header | None:
    """A header with what the records in front of it say (POSIX, pax: extended header); None when not all of it is plain."""
    found = _records(records)
    if found is None:
        return None
    name, link, mtime_ns = header.name, header.link, header.mtime_ns
    if (path := found.get(b"path")) is not None:
        name = path.decode(errors="surrogateescape").rstrip("/")
    if (path := found.get(b"linkpath")) is not None:
        link = path.decode(errors="surrogateescape")
    if (time := found.get(b"mtime")) is not None:
        whole, _, fraction = time.partition(b".")
        if not whole.isdigit() or len(whole) > _SECONDS_MAX_DIGITS or not (fraction + b"0").isdigit():
            return None
        mtime_ns = int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return Header(name, header.kind, header.mode, header.size, mtime_ns, link)


def written(header: Header) -> bytes | None:
    """The blocks of a header without an owner, or None for one that does not fit into the plain ones.

    Times between two seconds are a record in front.
    """
    name, kind, mode, size, mtime_ns, link = header
    mtime, fraction = divmod(mtime_ns, 10**9)
    if kind == tarfile.DIRTYPE:
        name += "/"
    if not (name.isascii() and link.isascii() and max(len(name), len(link)) <= _NAME_BYTES):
        return None
    if not (0 <= size < _OCTAL_ROOM and 0 <= mtime < _OCTAL_ROOM):
        return None
    front = _front(name, mode, size, mtime)
    back = kind + link.encode().ljust(_NAME_BYTES, b"\0") + _TAIL
    checksum = (adler32(front, 0) & 0xFFFF) + _sum(back) + 8 * 0x20
    block = front + b"%06o\0 " % checksum + back
    return _record_of_time(f"{mtime}.{fraction:09}") + block if fraction else block


def _front(name: str, mode: int, size: int, mtime: int) -> bytes:
    return name.encode().ljust(_NAME_BYTES, b"\0") + b"%07o\0" % (mode & 0o7777) + _OWNERS + b"%011o\0%011o\0" % (size, mtime)


def _record_of_time(time: str) -> bytes:
    record = b" mtime=%s\n" % time.encode()
    length = len(record) + 2  # of two digits itself, with any time that there is
    return (_pax_header(length) + b"%d" % length + record).ljust(2 * BLOCK, b"\0")


@lru_cache(maxsize=64)
def _pax_header(length: int) -> bytes:
    """The block in front of so many bytes of records."""
    # `tarfile` names and makes it; what it is about is cut off again.
    info = tarfile.TarInfo("name")
    key = "x" * (length - len("10 =\n"))
    info.pax_headers = {key: ""}
    return info.tobuf(tarfile.PAX_FORMAT)[:BLOCK]


def _records(data: bytes) -> Mapping[bytes, bytes] | None:
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            return None
        end = at + int(digits)
        key, equals, value = data[space + 1 : end].partition(b"=")
        if not equals or end > len(data) or value[-1:] != b"\n" or key not in _KNOWN | _IGNORED:
            return None
        found[key] = value[:-1]
        at = end
    return found


def _octal(field: bytes) -> int:
    return int(field.rstrip(b" \0"), 8)


def _sum(block: bytes) -> int:
    """Of all bytes: the lower half of Adler-32, whose modulus 256 bytes cannot reach, is the fastest way to it by far."""
    return (adler32(block[:256], 0) & 0xFFFF) + (adler32(block[256:], 0) & 0xFFFF)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")
