"""Members into a tar, which may go on behind what another writer has sealed."""

from __future__ import annotations

import tarfile
from typing import Final

from heavyjobs.jobs.codecs import Compressed
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.tar_headers import Header, written

_TYPES: Final = {
    Sort.FILE: tarfile.REGTYPE,
    Sort.FOLDER: tarfile.DIRTYPE,
    Sort.SYMLINK: tarfile.SYMTYPE,
    Sort.HARDLINK: tarfile.LNKTYPE,
}


class TarWriter:
    """A POSIX (pax) tar."""

    def __init__(self, stream: Compressed) -> None:
        self._stream: Final = stream
        self._written = 0

    def add(self, member: Member, data: Data | None) -> None:
        self._write(_header(member))
        if data is not None:
            self._copy(data, member.size)

    def pass_over(self, member: Member) -> None:
        self._written += len(_header(member)) + member.size + -member.size % tarfile.BLOCKSIZE

    def seal(self) -> None:
        self._stream.seal()

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


def _header(member: Member) -> bytes:
    common = Header(member.name, _TYPES[member.sort], member.mode, member.size, member.mtime_ns, member.link)
    return written(common) or _rare(member)


def _rare(member: Member) -> bytes:
    """A header as `tarfile` writes it, with all that may be needed."""
    info = tarfile.TarInfo(member.name)
    info.type = _TYPES[member.sort]
    info.size = member.size
    info.mtime, fraction = divmod(member.mtime_ns, 10**9)
    if fraction and info.mtime >= 0:
        info.pax_headers = {"mtime": f"{info.mtime}.{fraction:09}"}
    info.mode = member.mode
    info.linkname = member.link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
