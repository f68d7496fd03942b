"""What has to be asked of a file system so that a rename publishes something whole, and so that it stays."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

_DARWIN: Final = sys.platform == "darwin"
_NO_REPLACE: Final = 4 if _DARWIN else 1  # RENAME_EXCL of renamex_np(2), RENAME_NOREPLACE of renameat2(2)
_EXCHANGE: Final = 2  # RENAME_SWAP, RENAME_EXCHANGE
_UNSUPPORTED: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_AT_FDCWD: Final = -100
_START_WRITING: Final = 2  # SYNC_FILE_RANGE_WRITE of sync_file_range(2)


def sync_tree(path: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
        if not path.is_dir():
            os.fsync(descriptor)
        elif not _sync_file_system(descriptor):
            for parent, _, names in os.walk(path):
                for name in names:
                    _sync(Path(parent, name))
                _sync(Path(parent))


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    _sync(path)


def sync_folders(descriptors: Sequence[int]) -> None:
    """Bring the names in open folders, all on one file system, to the disk."""
    if not _sync_file_system(descriptors[0]):
        for descriptor in descriptors:
            os.fsync(descriptor)


def start_writing(descriptor: int) -> None:
    """Have the system begin to bring a file to the disk, without waiting: what is synced later is then mostly there.

    Does nothing where the system cannot.
    """
    if hasattr(_libc(), "sync_file_range"):
        _libc().sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _START_WRITING)


def size_tree(path: Path) -> int:
    """The bytes of a file, or of all regular files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    files = (os.lstat(f"{parent}/{name}") for parent, _, names in os.walk(path) for name in names)
    return sum(status.st_size for status in files if stat.S_ISREG(status.st_mode))


def rename_new(source: Path, target: Path) -> None:
    """Rename in one step, and only if nothing has the new name.

    Raises:
        FileExistsError: something has; both are untouched.
    """
    if _rename(source, target, _NO_REPLACE):
        return
    if source.is_dir():
        target.mkdir()
        source.rename(target)  # rename(2) replaces an empty folder
    else:
        os.link(source, target)
        source.unlink()


def rename_over(source: Path, target: Path) -> None:
    """Rename in one step, whatever has the new name; what a folder replaced, or was replaced by one, is then at `source`.

    Where the system cannot exchange names, there is a moment without either.
    """
    if not target.is_dir() and not (source.is_dir() and os.path.lexists(target)):
        source.replace(target)
    elif not _rename(source, target, _EXCHANGE):
        aside = source.with_name(source.name + "~")
        target.rename(aside)
        source.rename(target)
        aside.rename(source)


def _sync(path: Path) -> None:
    if not path.is_symlink() and (path.is_file() or path.is_dir()):
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            os.fsync(descriptor)


def _sync_file_system(descriptor: int) -> bool:
    """One wait for all files of a tree, where the system can: one for each took 4 ms a file. False where it cannot."""
    if not hasattr(_libc(), "syncfs"):
        return False
    if _libc().syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextmanager
def _opened(path: Path, flags: int) -> Generator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename with a flag that `os.rename` does not have; False where system or file system cannot."""
    old, new = os.fsencode(source), os.fsencode(target)
    try:
        failed = _libc().renamex_np(old, new, flag) if _DARWIN else _libc().renameat2(_AT_FDCWD, old, _AT_FDCWD, new, flag)
    except AttributeError:
        return False
    if failed:
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        raise OSError(number, os.strerror(number), str(source), None, str(target))
    return True
