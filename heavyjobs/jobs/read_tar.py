"""A tar stream as members, never going back.

`tarfile` parses the headers, but for the most common ones (`tar_headers.py`). It takes a header that is cut off or damaged in
the middle of an archive for its end, so the end is checked here: a block of zeros, and nothing but zeros after it.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, BinaryIO, Final, NoReturn, cast

from heavyjobs.jobs.members import Data, Member, Sort, safe_name
from heavyjobs.jobs.tar_headers import BLOCK, EXTENDED_MAX_BYTES, IGNORED, Header, extended, header_in
from heavyjobs.jobs.tar_stream import AGAIN, PlainData, TarStream, truncated
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop

TIME_MAX: Final = float(1 << 40)

_SORTS: Final = {
    tarfile.REGTYPE: Sort.FILE,
    tarfile.AREGTYPE: Sort.FILE,
    tarfile.DIRTYPE: Sort.FOLDER,
    tarfile.SYMTYPE: Sort.SYMLINK,
    tarfile.LNKTYPE: Sort.HARDLINK,
}
_CONFUSED: Final = (tarfile.TarError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error)
"""What `tarfile` raises over headers that nobody made in good faith."""


def tar_members(stream: BinaryIO, *, where: str) -> Iterator[tuple[Member, Data | None]]:
    """Each member and the bytes of a file.

    Raises:
        Stopped: Unreadable, for what is no tar, damaged or truncated; Refused, for an unsafe name or a device.
    """
    forward = TarStream(stream, archive=where)
    tar = _opened(forward)
    while True:
        member: Member | None
        if (header := _common(tar, forward)) is not None:
            member, data = _plain(tar, header, forward)
        elif (info := _any(tar, forward)) is not None:
            member, data = _member(tar, info, forward)
        else:
            break
        if member.name:  # else the folder that was packed, as ./
            yield member, data
    forward.check_end()


class _Tar(tarfile.TarFile):
    members: list[tarfile.TarInfo]  # missing in typeshed
    firstmember: tarfile.TarInfo | None


def _opened(forward: TarStream) -> _Tar:
    """`tarfile` at work, which has read the first header."""
    try:
        return _Tar(fileobj=cast("BinaryIO", forward), encoding="utf-8", errors="surrogateescape")
    except (*_CONFUSED, RecursionError) as error:
        _confused(error, forward)


def _common(tar: _Tar, forward: TarStream) -> Header | None:
    """The next header, where it is of the common sort; else it is still to be read."""
    if tar.firstmember is not None or (tar.pax_headers and tar.pax_headers.keys() - IGNORED):
        return None
    _skip_to(tar.offset, forward)
    block = forward.read(BLOCK)
    header = header_in(block)
    if header is not None and header.kind == tarfile.XHDTYPE:
        header, block = _with_records(header, block, forward)
    if header is None:
        forward.put_back(block)
    return header


def _with_records(front: Header, block: bytes, forward: TarStream) -> tuple[Header | None, bytes]:
    """The header behind an extended one, where both are common, and all that was read."""
    if front.size > EXTENDED_MAX_BYTES:
        return None, block
    padding = -front.size % BLOCK
    records = forward.read(front.size)
    rest = forward.read(padding + BLOCK)
    header = header_in(rest[padding:])
    if rest[:padding].count(0) != padding:  # some releases of `tarfile` take it for more records
        stop(Unreadable, "a header that goes on behind its end", where=forward.here(), would_do=AGAIN)
    if header is None or header.kind == tarfile.XHDTYPE:
        return None, block + records + rest
    return extended(header, records), block + records + rest


def _any(tar: _Tar, forward: TarStream) -> tarfile.TarInfo | None:
    """The next header, whatever it is; None at the end."""
    if tar.firstmember is None:
        _skip_to(tar.offset, forward)
        tar.offset = forward.tell()
    try:
        info = tar.next()
    except (*_CONFUSED, RecursionError) as error:
        _confused(error, forward)
    tar.members.clear()  # they would grow with the archive
    forward.check_kept(tar.pax_headers)
    return info


def _skip_to(position: int, forward: TarStream) -> None:
    try:
        forward.skip_to(position)
    except tarfile.ReadError as error:
        _confused(error, forward)


def _confused(error: Exception, forward: TarStream) -> NoReturn:
    if isinstance(error, RecursionError):  # tarfile calls itself for each of them
        stop(Refused, "hundreds of headers for one member", where=forward.archive, would_do=AGAIN)
    what = f"is no archive that is known here, or a damaged one: {error}"
    stop(Unreadable, what, where=forward.archive, would_do=AGAIN)


def _plain(tar: _Tar, header: Header, forward: TarStream) -> tuple[Member, Data | None]:
    sort = _SORTS[header.kind]
    size = header.size if sort is Sort.FILE else 0
    name, link = _names(header.name, header.link, sort, forward)
    tar.offset = forward.tell() + size + -size % BLOCK
    mode = header.mode & 0o7777
    member = Member(name=name, sort=sort, size=size, mtime_ns=header.mtime_ns, mode=mode, link=link)
    return member, PlainData(forward, size, name) if sort is Sort.FILE else None


def _member(tar: _Tar, info: tarfile.TarInfo, forward: TarStream) -> tuple[Member, Data | None]:
    sort = _sort(info, forward.archive)
    name, link = _names(info.name, info.linkname, sort, forward)
    if fault := _size_fault(tar, info):
        stop(Unreadable, f"{shown(name)!r} {fault}", where=forward.archive, would_do=AGAIN)
    member = Member(
        name=name,
        sort=sort,
        size=info.size if sort is Sort.FILE else 0,
        mtime_ns=_mtime_ns(info),
        mode=info.mode & 0o7777,  # may be negative, which S_IMODE refuses
        link=link,
        sparse=info.issparse(),
    )
    if sort is not Sort.FILE:
        return member, None
    file = tar.extractfile(info) if info.issparse() else None
    return member, PlainData(forward, info.size, name) if file is None else _SparseData(file, forward, name)


def _names(name: str, link: str, sort: Sort, forward: TarStream) -> tuple[str, str]:
    name = safe_name(name, archive=forward.archive)
    if sort is Sort.HARDLINK:
        return name, safe_name(link, archive=forward.archive)
    return name, link if sort is Sort.SYMLINK else ""


def _size_fault(tar: _Tar, info: tarfile.TarInfo) -> str | None:
    """What is wrong with the bytes that a member says it has, which `tarfile` would read somewhere else, or for ever."""
    if info.size < 0 or tar.offset < info.offset_data:
        return "has fewer bytes than none"
    end = stored = 0
    for offset, size in cast("list[tuple[int, int]]", getattr(info, "sparse", None) or ()):
        if (offset, size) == (0, 0):
            continue  # a place in the map that is not used
        if offset < end or size < 0:
            return "has a map of its holes that goes back"
        end, stored = offset + size, stored + size
    if end > info.size or stored > tar.offset - info.offset_data:
        return "has a map of its holes that leads out of it"
    return None


class _SparseData:
    """The bytes of a sparse file; an archive that ends within them stops the job."""

    def __init__(self, file: IO[bytes], forward: TarStream, name: str) -> None:
        self._file: Final = file
        self._forward: Final = forward
        self._name: Final = name

    def read(self, size: int, /) -> bytes:
        try:
            with self._forward.data():
                return self._file.read(size)
        except tarfile.ReadError:
            truncated(self._forward, self._name)


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
