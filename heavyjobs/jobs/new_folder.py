"""A folder that is filled with names which somebody else has chosen.

Guarantees: every name is opened component by component, from the root's own descriptor and through no symlink, so that nothing
is read or written outside, also while somebody swaps folders for links. What is made is new; nothing is written through.
Assumes: names as `safe_name` lets them through; links are made last.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from heavyjobs.shielding import Shield, surely

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
_FOLDER_MODE: Final = 0o755
_MODES: Final = 0o755
"""The permissions that are kept: no setuid, setgid or sticky, and others never write."""

HOLE_BYTES: Final = 64 << 10
"""What is looked at together: a hole is at least as long."""

_OWNERS: Final = 0o700
"""What the owner of a folder can always do, removing it among others."""


class NewFolder:
    """A folder in the making.

    Args:
        again: whether an invocation that died has begun it: what it made beyond what is known to be done is made anew.

    Raises:
        OSError: from all methods; FileExistsError for a name that is there.
    """

    def __init__(self, root: Path, *, again: bool) -> None:
        self._again: Final = again
        self._entered: str | None = None
        self._way: Final[list[tuple[str, int]]] = []
        root.mkdir(_FOLDER_MODE, exist_ok=again)
        self._root: Final = os.open(root, _FOLDER)
        self._closed = False

    def close(self) -> None:
        """Close all descriptors; harmless when repeated."""
        self._leave(0)
        if not self._closed:
            self._closed = True
            os.close(self._root)

    def create(self, name: str) -> FileIO:
        """A new file to write to; its permissions come with `keep_metadata`."""
        folder, last = self._place(name)
        return FileIO(os.open(last, _NEW, 0o600, dir_fd=folder), "wb")

    def reopen(self, name: str, mode: str) -> FileIO | None:
        """A regular file that an earlier invocation made; None where there is none that can be opened."""
        folder, last = self._inside(name)
        try:
            file = FileIO(last, mode, opener=lambda path, flags: os.open(path, flags | _FILE, dir_fd=folder))
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        return None

    def folder(self, name: str) -> None:
        """Make a folder, where it is missing."""
        self._enter(name)

    def hardlink(self, name: str, to: str) -> None:
        """Give a file that was made here another name."""
        folder, last = self._inside(to)
        source = os.dup(folder)
        try:
            folder, new = self._place(name)
            os.link(last, new, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def symlink(self, name: str, to: str, *, mtime_ns: int) -> None:
        """Make a symlink that says `to`."""
        folder, last = self._place(name)
        os.symlink(to, last, dir_fd=folder)
        os.utime(last, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)

    def keep_folder_metadata(self, name: str, *, mode: int, mtime_ns: int) -> None:
        """Give a folder its permissions and time, when nothing more is made in it."""
        keep_metadata(self._enter(name), mode=mode | _OWNERS, mtime_ns=mtime_ns)

    def _place(self, name: str) -> tuple[int, str]:
        """The folder for something new, and its name there."""
        folder, last = self._inside(name)
        if self._again:
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=folder)
        return folder, last

    def _inside(self, name: str) -> tuple[int, str]:
        folder, _, last = name.rpartition("/")
        return self._enter(folder), last

    def _enter(self, name: str) -> int:
        """The descriptor of a folder, made where it is missing; good until another is entered."""
        if name == self._entered:
            return self._last()
        parts = name.split("/") if name else []
        shared = 0
        for (known, _), part in zip(self._way, parts, strict=False):
            if known != part:
                break
            shared += 1
        self._leave(shared)
        for part in parts[shared:]:
            self._way.append((part, _opened(part, self._last())))
        self._entered = name
        return self._last()

    def _leave(self, kept: int) -> None:
        self._entered = None
        while len(self._way) > kept:
            _, descriptor = self._way.pop()
            os.close(descriptor)

    def _last(self) -> int:
        return self._way[-1][1] if self._way else self._root


@contextmanager
def new_folder(root: Path, *, again: bool, shield: Shield) -> Generator[NewFolder]:
    """A folder to fill, its descriptors closed when the block is left."""
    folder = NewFolder(root, again=again)
    with surely(folder.close, shield=shield):
        yield folder


def keep_metadata(descriptor: int, *, mode: int, mtime_ns: int) -> None:
    """Give an open file or folder its permissions, as far as they are let through, and its time."""
    os.fchmod(descriptor, mode & _MODES)
    os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def write_all(file: FileIO, data: bytes) -> None:
    """Write every byte; a plain file may take fewer at a time."""
    if (written := file.write(data)) != len(data):
        left = memoryview(data)[written:]
        while left:
            left = left[file.write(left) :]


def write_sparse(file: FileIO, data: bytes) -> None:
    """Write every byte, long runs of zeros as holes; the file is as long as it should be after each call."""
    for at in range(0, len(data), HOLE_BYTES):
        piece = data[at : at + HOLE_BYTES]
        if piece.count(0) == len(piece):
            file.truncate(file.seek(len(piece), os.SEEK_CUR))
        else:
            write_all(file, piece)


def _opened(part: str, within: int) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=within)
    except FileNotFoundError:
        os.mkdir(part, _FOLDER_MODE, dir_fd=within)
        return os.open(part, _FOLDER, dir_fd=within)
