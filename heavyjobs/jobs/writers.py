"""Members into archives, written front to back."""

from __future__ import annotations

import shutil
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from heavyjobs.jobs.codecs import Format, writing
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.read_zip import EXTENDED_TIME
from heavyjobs.jobs.tar_headers import Header, written
from heavyjobs.jobs.trouble import Refused, shown, stop

_TAR_TYPES: Final = {
    Sort.FILE: tarfile.REGTYPE,
    Sort.FOLDER: tarfile.DIRTYPE,
    Sort.SYMLINK: tarfile.SYMTYPE,
    Sort.HARDLINK: tarfile.LNKTYPE,
}
_ZIP_TYPES: Final = {Sort.FILE: stat.S_IFREG, Sort.FOLDER: stat.S_IFDIR, Sort.SYMLINK: stat.S_IFLNK}
_ZIP_UNIX: Final = 3
_ZIP_FOLDER: Final = 0x10
_ZIP_TIME_MIN: Final = 315532800  # 1980-01-01
_ZIP_TIME_MAX: Final = 4354819199  # 2107-12-31


class Writer(Protocol):
    """Takes members one after the other."""

    holds_hardlinks: bool
    """Whether it takes hard links; one that does not wants files instead."""

    def add(self, member: Member, data: Data | None) -> None:
        """Write a member and exactly the bytes that it says it has."""
        ...


@contextmanager
def writing_archive(path: Path, form: Format, *, where: str) -> Generator[Writer]:
    """Make an archive of that format at `path`, complete when the block is left cleanly; `where` names it in errors."""
    with path.open("xb") as file:
        if form.container == "zip":
            opened = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
            try:
                yield ZipWriter(opened, where)
            except BaseException:
                opened.fp = None  # or closing it, as its finalizer does, would complain about the member that is half written
                raise
            opened.close()
        else:
            with writing(file, form.compression) as stream:
                writer = TarWriter(stream)
                yield writer
                writer.end()


class TarWriter:
    """A POSIX (pax) tar."""

    holds_hardlinks = True

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: Final = stream
        self._written = 0

    def add(self, member: Member, data: Data | None) -> None:
        header = Header(member.name, _TAR_TYPES[member.sort], member.mode, member.size, member.mtime_ns, member.link)
        self._write(written(header) or self._rare(member))
        if data is not None:
            self._copy(data, member.size)

    def _rare(self, member: Member) -> bytes:
        """A header as `tarfile` writes it, with all that may be needed."""
        info = tarfile.TarInfo(member.name)
        info.type = _TAR_TYPES[member.sort]
        info.size = member.size
        info.mtime, fraction = divmod(member.mtime_ns, 10**9)
        if fraction and info.mtime >= 0:
            info.pax_headers = {"mtime": f"{info.mtime}.{fraction:09}"}
        info.mode = member.mode
        info.linkname = member.link
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def end(self) -> None:
        """Write the end mark, and fill the record up as tar(1) does."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._written % tarfile.RECORDSIZE))

    def _copy(self, data: Data, size: int) -> None:
        end = self._written + size
        while self._written < end and (chunk := data.read(min(CHUNK_BYTES, end - self._written))):
            self._write(chunk)
        if self._written != end:
            raise AssertionError(f"{end - self._written} bytes fewer than announced")
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._written += len(data)


class ZipWriter:
    """A zip with deflate, Unix modes, symlinks as Info-ZIP writes them, and times in UTC.

    Raises:
        Stopped: Refused, for a name that a zip cannot hold, or that comes twice.
    """

    holds_hardlinks = False

    def __init__(self, opened: zipfile.ZipFile, where: str) -> None:
        self._zip: Final = opened
        self._where: Final = where
        self._names: Final[set[str]] = set()

    def add(self, member: Member, data: Data | None) -> None:
        if self._is_known_folder(member):
            return
        info = _zip_info(member)
        if data is None:
            self._zip.writestr(info, member.link.encode(errors="surrogateescape"))
        else:
            with self._zip.open(info, "w") as file:
                shutil.copyfileobj(_Sized(data), file, CHUNK_BYTES)

    def _is_known_folder(self, member: Member) -> bool:
        """Note the name; True for a folder that is there already."""
        fault = None
        if member.name in self._names:
            if member.sort is Sort.FOLDER:
                return True
            fault = "comes twice, which a zip cannot hold"
        elif not _is_unicode(member.name):
            fault = "has a name that is not Unicode, which a zip cannot hold"
        elif len(member.name.encode()) >= 0xFFFF:
            fault = "has a name too long for a zip"
        if fault:
            stop(Refused, f"{shown(member.name)!r} {fault}", where=self._where, would_do="use a tar format for the target")
        self._names.add(member.name)
        return False


class _Sized:
    """`Data` for those who may ask without a size."""

    def __init__(self, data: Data) -> None:
        self._data: Final = data

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        return self._data.read(size)


def _zip_info(member: Member) -> zipfile.ZipInfo:
    folder = member.sort is Sort.FOLDER
    mtime = member.mtime_ns // 10**9
    seconds = min(max(mtime, _ZIP_TIME_MIN), _ZIP_TIME_MAX)
    info = zipfile.ZipInfo(member.name + "/" * folder, time.gmtime(seconds)[:6])
    info.create_system = _ZIP_UNIX
    info.external_attr = (_ZIP_TYPES[member.sort] | member.mode) << 16 | _ZIP_FOLDER * folder
    info.compress_type = zipfile.ZIP_DEFLATED if member.sort is Sort.FILE and member.size else zipfile.ZIP_STORED
    info.file_size = member.size
    if -(1 << 31) <= mtime < 1 << 31:
        info.extra = struct.pack("<HHBi", EXTENDED_TIME, 5, 1, mtime)
    return info


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
