"""The file that is split: read from any boundary, and held to what it was when the work began."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel

from heavyjobs.jobs.places import open_regular
from heavyjobs.jobs.trouble import SourceChanged, stop


class Identity(BaseModel):
    """What tells that a file is another one by now, or was written to."""

    inode: int
    bytes: int
    mtime_ns: int


class Source:
    """A file's bytes, as many as it had when it was opened.

    Attributes:
        identity: when it was opened.
    """

    def __init__(self, file: BinaryIO, *, where: str) -> None:
        self._file: Final = file
        self._where: Final = where
        self.identity: Final = _identity(file)
        self._left = self.identity.bytes

    def seek(self, offset: int) -> None:
        self._file.seek(offset)
        self._left = self.identity.bytes - offset

    def readinto(self, buffer: memoryview, /) -> int:
        """Read on; a file that grows meanwhile never gives more than it had.

        Raises:
            Stopped: SourceChanged, when it became shorter.
        """
        if not self._left:
            return 0
        read = os.readv(self._file.fileno(), [buffer[: self._left]])
        self._left -= read
        if not read:
            self.check()
        return read

    def check(self) -> None:
        """Stop when it is not any more what it was.

        Raises:
            Stopped: SourceChanged.
        """
        if _identity(self._file) != self.identity:
            stop(SourceChanged, "changed while it was read", where=self._where, would_do="try again when nobody writes to it")


@contextmanager
def opened_source(path: Path, *, where: str) -> Generator[Source]:
    """Open a regular file to be split."""
    with open_regular(path.resolve()) as file:
        yield Source(file, where=where)


def _identity(file: BinaryIO) -> Identity:
    status = os.fstat(file.fileno())
    return Identity(inode=status.st_ino, bytes=status.st_size, mtime_ns=status.st_mtime_ns)
