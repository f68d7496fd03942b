"""What `tarfile` needs of a file, on a stream that cannot seek: it only ever skips ahead, and reads headers within bounds."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final, NoReturn

from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop

HEADER_MAX_BYTES: Final = 16 << 20
"""Of one header with its extensions (long names, attributes, the map of a sparse file): a hostile one would fill the memory."""
AGAIN: Final = "fetch or make the archive again"

_DIGITS: Final = b"0" * 256
_DIGIT_OR_NOT: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0 for byte in range(256))
"""`tarfile` of some supported Pythons takes the square of the time for a run of digits (CVE-2024-6232), and hears no cancel; a
name may have 255."""

_END: Final = bytes(tarfile.BLOCKSIZE)


class TarStream:
    """The bytes of a tar, front to back.

    Attributes:
        archive: what it is called in errors.
    """

    def __init__(self, stream: BinaryIO, *, archive: str) -> None:
        self.archive: Final = archive
        self._stream: Final = stream
        self._position = 0
        self._back = self._last = b""
        self._room = HEADER_MAX_BYTES
        self._is_data = False

    def read(self, size: int) -> bytes:
        """So many bytes of headers, fewer at the end.

        Raises:
            Stopped: Refused, for more than a header may have.
        """
        if self._is_data:
            return self.read_data(size)
        if size < 0:
            raise tarfile.ReadError("a header of fewer bytes than none")
        if size > self._room:
            stop(Refused, "a header that would fill the memory", where=self.here(), would_do=AGAIN)
        self._room -= size
        data = self.read_data(size)
        if _DIGITS in data.translate(_DIGIT_OR_NOT):
            stop(Refused, "a header that would take for ever to be read", where=self.here(), would_do=AGAIN)
        return data

    def read_data(self, size: int) -> bytes:
        """So many bytes of whatever there is."""
        data, self._back = self._back[:size], self._back[size:]
        if len(data) < size:
            data += self._stream.read(size - len(data))
        self._position += len(data)
        self._last = data
        return data

    def put_back(self, data: bytes) -> None:
        """Let what was read last be read again."""
        self._back = data + self._back
        self._position -= len(data)
        self._room = HEADER_MAX_BYTES

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position and self.read_data(min(position - self._position, CHUNK_BYTES)):
            pass

    def skip_to(self, position: int) -> None:
        """Go on to the next header.

        Raises:
            ReadError: there is less.
        """
        self._room = HEADER_MAX_BYTES
        if self._position != position:
            self.seek(position)
            if self._position < position:
                raise tarfile.ReadError("unexpected end of data")

    @contextmanager
    def data(self) -> Generator[None]:
        """Let `tarfile` read what is no header."""
        self._is_data = True
        try:
            yield
        finally:
            self._is_data = False

    def check_kept(self, kept: Mapping[str, str]) -> None:
        """Make sure that what is kept for all members that follow does not grow with the archive."""
        if kept and sum(len(key) + len(value) for key, value in kept.items()) > HEADER_MAX_BYTES:
            stop(Refused, "global headers that would fill the memory", where=self.here(), would_do=AGAIN)

    def check_end(self) -> None:
        """Make sure that the archive ended by its own word, and that nothing follows.

        Raises:
            Stopped: Unreadable.
        """
        if self._last != _END:
            stop(Unreadable, "is truncated or damaged: no end mark", where=self.here(), would_do=AGAIN)
        while data := self.read_data(CHUNK_BYTES):
            if data.count(0) != len(data):
                what = "more data after the end of the archive"
                stop(Unreadable, what, where=self.here(), would_do="split it, or remove them")

    def here(self) -> str:
        return f"{self.archive}, at byte {self._position} of the tar"


class PlainData:
    """The bytes of a file that lie together; an archive that ends within them stops the job."""

    def __init__(self, stream: TarStream, size: int, name: str) -> None:
        self._stream: Final = stream
        self._left = size
        self._name: Final = name

    def read(self, size: int, /) -> bytes:
        if not self._left:
            return b""
        data = self._stream.read_data(min(size, self._left))
        if not data:
            truncated(self._stream, self._name)
        self._left -= len(data)
        return data


def truncated(stream: TarStream, name: str) -> NoReturn:
    stop(Unreadable, "is truncated", where=f"{stream.archive}, member {shown(name)!r}", would_do=AGAIN)
