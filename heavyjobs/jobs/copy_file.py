"""A large file from one folder of this host to another, interval by interval: copied, digested and read back at the same time.

     a thread          copies inside the kernel, and brings it to the disk ─┐
     caller's thread   digests the source, keeps how far it is ◀────────────┘─┐
     a thread          reads back from the disk, and digests ◀────────────────┘

Guarantees: what was kept as done is on the disk. Holes of the source are holes of the copy.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NamedTuple

from heavyjobs import durable
from heavyjobs.storage.crew import Crew

PIECE_BYTES: Final = 1 << 20
_STEP_BYTES: Final = 8 << 20
_CANNOT: Final = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})


class Digests(NamedTuple):
    """SHA-256 in hex: of what was read, and of what is on the disk, if that was asked for."""

    source: str
    target: str | None


@dataclass(frozen=True, slots=True)
class _Interval:
    start: int
    count: int


class FileCopy:
    """A copy of `size` bytes between open files.

    Args:
        interval_bytes: of what is copied before it is kept as done.
        done: bytes that an earlier attempt has brought to the disk; they are only digested.
        kept: told after each interval how many bytes are on the disk.
        add: told of progress, in bytes.
    """

    def __init__(
        self,
        source: int,
        target: int,
        size: int,
        *,
        done: int,
        interval_bytes: int,
        read_back: bool,
        kept: Callable[[int], None],
        add: Callable[[int], None],
    ) -> None:
        self._source: Final = source
        self._target: Final = target
        self._size: Final = size
        self._done: Final = done
        self._interval_bytes: Final = interval_bytes
        self._read_back: Final = read_back
        self._kept: Final = kept
        self._add: Final = add
        self._copier, self._checker = Crew(1), Crew(1)
        self._of_source, self._of_target = hashlib.sha256(), hashlib.sha256()

    def run(self) -> Digests:
        os.ftruncate(self._target, self._size)
        with closing(self._copied()) as copied:
            if self._read_back:
                with closing(self._checker.in_order(copied, self._check)) as checked:
                    for _ in checked:
                        pass
            else:
                for _ in copied:
                    pass
        return Digests(self._of_source.hexdigest(), self._of_target.hexdigest() if self._read_back else None)

    def _intervals(self) -> Iterator[_Interval]:
        for start in range(0, self._size, self._interval_bytes):
            yield _Interval(start, min(self._interval_bytes, self._size - start))

    def _copied(self) -> Generator[_Interval]:
        with closing(self._copier.in_order(self._intervals(), self._copy)) as answers:
            for interval, _ in answers:
                end = interval.start + interval.count
                if end > self._done:
                    self._kept(end)
                for data in _pieces(self._source, interval):
                    self._of_source.update(data)
                    self._add(len(data))
                yield interval

    # -- in the threads

    def _copy(self, interval: _Interval) -> None:
        if interval.start + interval.count <= self._done:
            return
        for start, end in _data(self._source, interval):
            for at in range(start, end, _STEP_BYTES):
                self._copier.check()
                copy_range(self._source, self._target, at, min(_STEP_BYTES, end - at))
                durable.start_writing(self._target)
        os.fdatasync(self._target) if hasattr(os, "fdatasync") else os.fsync(self._target)

    def _check(self, interval: _Interval) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._target, interval.start, interval.count, os.POSIX_FADV_DONTNEED)
        for data in _pieces(self._target, interval):
            self._checker.check()
            self._of_target.update(data)


def copy_range(source: int, target: int, start: int, count: int) -> None:
    """Copy a range between files at the same place; inside the kernel, which may share the blocks, where it can.

    A source that ends earlier is copied as far as it goes.
    """
    at, end = start, start + count
    while at < end:
        done = _inside_kernel(source, target, at, end - at) or _by_hand(source, target, at, min(end - at, PIECE_BYTES))
        if not done:
            return
        at += done


def _inside_kernel(source: int, target: int, at: int, count: int) -> int:
    """How many bytes were copied; 0 where the system, or one of the file systems, does not do it."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, target, count, at, at)
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise


def _by_hand(source: int, target: int, at: int, count: int) -> int:
    data = memoryview(os.pread(source, count, at))
    done = 0
    while done < len(data):
        done += os.pwrite(target, data[done:], at + done)
    return done


def _data(descriptor: int, interval: _Interval) -> Iterator[tuple[int, int]]:
    """Where a file has data, from and to, without its holes; all of it where nobody knows."""
    at, end = interval.start, interval.start + interval.count
    while at < end:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
            stop = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that one means: a hole up to the end
                yield at, end
            return
        if start < end:
            yield start, min(stop, end)
        at = stop


def _pieces(descriptor: int, interval: _Interval) -> Iterator[bytes]:
    """The bytes of a range, as far as they go."""
    at, end = interval.start, interval.start + interval.count
    while at < end and (data := os.pread(descriptor, min(PIECE_BYTES, end - at), at)):
        at += len(data)
        yield data
