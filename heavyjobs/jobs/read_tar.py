"""A tar stream as members, never going back.

`tarfile` parses the headers. It takes a header that is cut off or damaged in the middle of an archive for its end, so the end
is checked here: a block of zeros, and nothing but zeros after it.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import IO, BinaryIO, Final, Self, cast

from typing_extensions import override

from heavyjobs.jobs.members import Data, Member, Sort, safe_name
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop

HEADER_MAX_BYTES: Final = 16 << 20
"""Of one header's extensions (long names, attributes): a hostile one would fill the memory."""
TIME_MAX: Final = float(1 << 40)
AGAIN: Final = "fetch or make the archive again"

_SORTS: Final = {tarfile.DIRTYPE: Sort.FOLDER, tarfile.SYMTYPE: Sort.SYMLINK, tarfile.LNKTYPE: Sort.HARDLINK}
_HEADER: Final = struct.Struct("100s8s16x12s12s8sc100s80x8x155s12x")
_COMMON: Final = {
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.XHDTYPE,
}
_END: Final = bytes(tarfile.BLOCKSIZE)


def tar_members(stream: BinaryIO, *, where: str) -> Iterator[tuple[Member, Data | None]]:
    """Each member and the bytes of a file.

    Raises:
        Stopped: Unreadable, for what is no tar, damaged or truncated; Refused, for an unsafe name or a device.
    """
    forward = _Forward(stream, where)
    try:
        with _Tar(fileobj=cast("BinaryIO", forward), encoding="utf-8", errors="surrogateescape") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # they would grow with the archive
                forward.check_headers(tar.pax_headers)
                yield from _member(tar, info, where)
    except RecursionError:  # tarfile calls itself for each of them
        stop(Refused, "hundreds of headers for one member", where=where, would_do=AGAIN)
    except tarfile.TarError as error:
        stop(Unreadable, f"is no archive that is known here, or a damaged one: {error}", where=where, would_do=AGAIN)
    forward.check_end()


class _Info(tarfile.TarInfo):
    """Headers of the common sort, three times as fast as `tarfile` reads them; it still reads all others.

    Whose a member is and which device it is are not looked at.
    """

    @override
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            fields = _HEADER.unpack(buf)
            mode, size, mtime, checksum = (int(field.rstrip(b" \0"), 8) for field in fields[1:5])
        except (ValueError, struct.error):
            return super().frombuf(buf, encoding, errors)
        if checksum != sum(buf) - sum(buf[148:156]) + 8 * 0x20 or fields[5] not in _COMMON or fields[7][0]:
            return super().frombuf(buf, encoding, errors)
        info = cls(_text(fields[0], encoding, errors))
        info.mode, info.size, info.mtime, info.type = mode, size, mtime, fields[5]
        info.linkname = _text(fields[6], encoding, errors)
        if info.type == tarfile.AREGTYPE and info.name.endswith("/"):
            info.type = tarfile.DIRTYPE
        if info.type == tarfile.DIRTYPE:
            info.name = info.name.rstrip("/")
        return info


def _text(field: bytes, encoding: str, errors: str) -> str:
    return field.partition(b"\0")[0].decode(encoding, errors)


class _Tar(tarfile.TarFile):
    tarinfo = _Info
    members: list[tarfile.TarInfo]  # missing in typeshed


class _Forward:
    """What `tarfile` needs of a file, on a stream that cannot seek: it only ever skips ahead."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream: Final = stream
        self._where: Final = where
        self._position = 0
        self._last = b""

    def read(self, size: int) -> bytes:
        if size > HEADER_MAX_BYTES:
            stop(Refused, f"a header of {size} bytes", where=self._at(), would_do=AGAIN)
        self._last = self._stream.read(size)
        self._position += len(self._last)
        return self._last

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position and self.read(min(position - self._position, CHUNK_BYTES)):
            pass

    def check_headers(self, kept: Mapping[str, str]) -> None:
        """Make sure that what is kept for all members that follow does not grow with the archive."""
        if kept and sum(len(key) + len(value) for key, value in kept.items()) > HEADER_MAX_BYTES:
            stop(Refused, "global headers that would fill the memory", where=self._at(), would_do=AGAIN)

    def check_end(self) -> None:
        """Make sure that the archive ended by its own word, and that nothing follows.

        Raises:
            Stopped: Unreadable.
        """
        if self._last != _END:
            stop(Unreadable, "is truncated or damaged: no end mark", where=self._at(), would_do=AGAIN)
        while data := self.read(CHUNK_BYTES):
            if data.count(0) != len(data):
                stop(
                    Unreadable, "more data after the end of the archive", where=self._at(), would_do="split it, or remove them"
                )

    def _at(self) -> str:
        return f"{self._where}, at byte {self._position} of the tar"


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, where: str) -> Iterator[tuple[Member, Data | None]]:
    sort = _sort(info, where)
    name = safe_name(info.name, archive=where)
    if not name:  # the folder that was packed, as ./
        return
    link = safe_name(info.linkname, archive=where) if sort is Sort.HARDLINK else info.linkname if sort is Sort.SYMLINK else ""
    member = Member(
        name=name,
        sort=sort,
        size=info.size if sort is Sort.FILE else 0,
        mtime_ns=_mtime_ns(info),
        mode=info.mode & 0o7777,  # may be negative, which S_IMODE refuses
        link=link,
        sparse=info.issparse(),
    )
    file = tar.extractfile(info) if sort is Sort.FILE else None
    yield member, None if file is None else _Checked(file, f"{where}, member {shown(name)!r}")


class _Checked:
    """The bytes of a member; an archive that ends within them stops the job."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file: Final = file
        self._where: Final = where

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except tarfile.ReadError:
            stop(Unreadable, "is truncated", where=self._where, would_do=AGAIN)


def _mtime_ns(info: tarfile.TarInfo) -> int:
    """The time to the nanosecond, as the pax header's text has it; 0 for nonsense."""
    if not abs(info.mtime) < TIME_MAX:
        return 0
    try:
        return int(Decimal(info.pax_headers.get("mtime", info.mtime)) * 10**9)
    except ArithmeticError:
        return int(info.mtime) * 10**9


def _sort(info: tarfile.TarInfo, where: str) -> Sort:
    if info.isreg():
        return Sort.FILE  # all the ways to store one, sparse ones included
    sort = _SORTS.get(info.type)
    if sort is None:
        what = "FIFO" if info.isfifo() else "device" if info.isdev() else f"member of the unknown type {info.type!r}"
        stop(Refused, f"{shown(info.name)!r} is a {what}", where=where, would_do="make the archive again without it")
    return sort
