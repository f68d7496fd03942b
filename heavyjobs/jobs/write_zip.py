"""Members into a zip, which may go on behind what another writer has sealed."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import time
import zipfile
from typing import BinaryIO, Final

from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.read_zip import EXTENDED_TIME
from heavyjobs.jobs.trouble import Refused, shown, stop

_TYPES: Final = {Sort.FILE: stat.S_IFREG, Sort.FOLDER: stat.S_IFDIR, Sort.SYMLINK: stat.S_IFLNK}
_UNIX: Final = 3
_FOLDER: Final = 0x10
_TIME_MIN: Final = 315532800  # 1980-01-01
_TIME_MAX: Final = 4354819199  # 2107-12-31
_LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
_WIDE_SIZES: Final = struct.Struct("<2H2Q")
"""What `zipfile` puts last among the extra fields of a local header when a size may need 64 bits."""
_IN_EXTRA: Final = 0xFFFFFFFF


class ZipWriter:
    """A zip with deflate, Unix modes, symlinks as Info-ZIP writes them, and times in UTC.

    Raises:
        Stopped: Refused, for a name that a zip cannot hold, or that comes twice.
    """

    def __init__(self, opened: zipfile.ZipFile, file: BinaryIO, where: str) -> None:
        self._zip: Final = opened
        self._file: Final = file
        self._where: Final = where
        self._names: Final[set[str]] = set()
        self._passed = 0

    def add(self, member: Member, data: Data | None) -> None:
        if self._is_known_folder(member):
            return
        info = _info(member)
        if data is None:
            self._zip.writestr(info, member.link.encode(errors="surrogateescape"))
        else:
            with self._zip.open(info, "w") as file:
                shutil.copyfileobj(_Sized(data), file, CHUNK_BYTES)

    def pass_over(self, member: Member) -> None:
        if self._is_known_folder(member):
            return
        info = _info(member)
        self._passed = _read_local_header(self._file.fileno(), self._passed, into=info)
        self._zip.filelist.append(info)
        self._zip.NameToInfo[info.filename] = info

    def seal(self) -> None:
        """Nothing to do: each member is whole, and the directory at the end is made from what stands before each."""

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


def _read_local_header(file: int, offset: int, *, into: zipfile.ZipInfo) -> int:
    """Note what the directory says of the member that lies there, and give back where the next one does."""
    fixed = os.pread(file, _LOCAL_HEADER.size, offset)
    _, version, _, method, _, _, crc, compressed, size, name, extra = _LOCAL_HEADER.unpack(fixed)
    data: int = offset + _LOCAL_HEADER.size + name + extra
    if compressed == _IN_EXTRA:
        _, _, size, compressed = _WIDE_SIZES.unpack(os.pread(file, _WIDE_SIZES.size, data - _WIDE_SIZES.size))
    into.header_offset, into.compress_type = offset, method
    into.create_version = into.extract_version = version
    into.CRC, into.compress_size, into.file_size = crc, compressed, size
    return data + int(compressed)


def _info(member: Member) -> zipfile.ZipInfo:
    folder = member.sort is Sort.FOLDER
    mtime = member.mtime_ns // 10**9
    seconds = min(max(mtime, _TIME_MIN), _TIME_MAX)
    info = zipfile.ZipInfo(member.name + "/" * folder, time.gmtime(seconds)[:6])
    info.create_system = _UNIX
    info.external_attr = (_TYPES[member.sort] | member.mode) << 16 | _FOLDER * folder
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
