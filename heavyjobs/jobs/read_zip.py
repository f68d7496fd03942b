"""A zip file as members, with the checks that `zipfile` of some supported Pythons lacks."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO, Final, NoReturn

from heavyjobs.jobs.members import Data, Member, Sort, name_fault, safe_name
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop
from heavyjobs.jobs.zip_end import read_end
from heavyjobs.jobs.zip_headers import DIRECTORY_MAX_BYTES, check_headers
from heavyjobs.jobs.zip_names import fields, name_of

LINK_MAX_BYTES: Final = 64 << 10
AGAIN: Final = "fetch or make the archive again"
EXTENDED_TIME: Final = 0x5455
"""The extra field that holds seconds in UTC (Info-ZIP, appnote 4.5); the header itself has two-second steps of no zone."""

_ENCRYPTED: Final = 0x1
_UNIX: Final = 3


def open_zip(file: BinaryIO, *, where: str) -> zipfile.ZipFile:
    """Read the directory of a zip file.

    Raises:
        Stopped: Refused, when it is too large; Unreadable, when there is none or several, bytes stand before or after the
            archive, its entries overlap, or it is not what stands before the data.
    """

    def wrong(what: str) -> NoReturn:
        stop(Unreadable, what, where=where, would_do=AGAIN)

    end = read_end(file, fault=wrong)
    if end.bytes > DIRECTORY_MAX_BYTES:
        stop(Refused, "a directory that would fill the memory", where=where, would_do="pack fewer members into one archive")
    try:
        opened = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        wrong(f"is no zip archive, or a damaged or truncated one: {error}")
    if len(opened.infolist()) != end.entries:
        wrong(f"has {len(opened.infolist())} entries in its directory, and {end.entries} by its end")

    def fault(info: zipfile.ZipInfo, what: str) -> NoReturn:
        stop(Unreadable, f"{shown(info.filename)!r} {what}", where=where, would_do="do not trust this archive")

    check_headers(opened, file, fault=fault)
    return opened


class ZipMembers:
    """The members of a zip file, and how much of them was read.

    Attributes:
        total, read: bytes of all files in it, and of those what was read so far.
    """

    def __init__(self, opened: zipfile.ZipFile, *, where: str) -> None:
        self._zip: Final = opened
        self._where: Final = where
        self.total: Final = sum(info.file_size for info in opened.infolist())
        self.read = 0

    def __iter__(self) -> Iterator[tuple[Member, Data | None]]:
        """Each member and the bytes of a file, in the order of the directory.

        Raises:
            Stopped: Unreadable, for damaged, encrypted or unknown data; Refused, for an unsafe name or a device.
        """
        for info in self._zip.infolist():
            sort, raw = _sort(info, self._where), info.orig_filename
            if "\0" in raw:  # zipfile cuts the name off there
                stop(Refused, f"the member {shown(raw)!r} {name_fault(raw)}", where=self._where, would_do=AGAIN)
            if name := safe_name(name_of(info), archive=self._where):
                yield from self._member(info, name, sort)

    def _member(self, info: zipfile.ZipInfo, name: str, sort: Sort) -> Iterator[tuple[Member, Data | None]]:
        mode = stat.S_IMODE(info.external_attr >> 16) or (0o755 if sort is Sort.FOLDER else 0o644)
        size = info.file_size if sort is Sort.FILE else 0
        member = Member(name=name, sort=sort, size=size, mtime_ns=_mtime(info) * 10**9, mode=mode)
        if sort is Sort.FOLDER:
            yield member, None
            return
        with closing(_Checked(self._zip, info, where=self._where, count=self._count)) as data:
            if sort is Sort.SYMLINK:
                yield replace(member, link=data.read(LINK_MAX_BYTES).decode(errors="surrogateescape")), None
            else:
                yield member, data
                self.read += data.left  # of one that was passed over

    def _count(self, amount: int) -> None:
        self.read += amount


class _Checked:
    """The bytes of a member; damage stops the job with its name."""

    def __init__(self, opened: zipfile.ZipFile, info: zipfile.ZipInfo, *, where: str, count: Callable[[int], None]) -> None:
        self._where: Final = f"{where}, member {shown(info.filename)!r}"
        self._count: Final = count
        self.left = info.file_size
        try:
            self._file: Final = opened.open(info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
            self._damaged(error)

    def read(self, size: int, /) -> bytes:
        try:
            data = self._file.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            self._damaged(error)
        self.left -= len(data)
        self._count(len(data))
        if not data and self.left:
            self._damaged(EOFError(f"{self.left} bytes are missing"))
        return data

    def close(self) -> None:
        self._file.close()

    def _damaged(self, error: Exception) -> NoReturn:
        stop(Unreadable, f"cannot be read: {error}", where=self._where, would_do=AGAIN)


def _sort(info: zipfile.ZipInfo, where: str) -> Sort:
    if info.flag_bits & _ENCRYPTED:
        stop(Unreadable, f"{shown(info.filename)!r} is encrypted", where=where, would_do="decrypt the archive first")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if info.filename.endswith("/"):  # `is_dir` of older Pythons fails without a name
        return Sort.FOLDER
    if kind == stat.S_IFLNK:
        return Sort.SYMLINK
    if kind not in {0, stat.S_IFREG}:
        stop(
            Refused,
            f"{shown(info.filename)!r} is a device, FIFO or socket",
            where=where,
            would_do="make the archive without it",
        )
    return Sort.FILE


def _mtime(info: zipfile.ZipInfo) -> int:
    """Seconds since 1970: of the extended time where there is one, else the header's, taken for UTC."""
    for tag, field in fields(info.extra):
        if tag == EXTENDED_TIME and len(field) >= 5 and field[0] & 1:
            return int(struct.unpack_from("<i", field, 1)[0])
    try:
        return timegm((*info.date_time, 0, 0, 0))
    except ValueError:
        return 0
