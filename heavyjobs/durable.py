"""What has to be asked of a file system so that a rename publishes something whole, and so that it stays."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DARWIN: Final = sys.platform == "darwin"
_NO_REPLACE: Final = 4 if _DARWIN else 1  # RENAME_EXCL of renamex_np(2), RENAME_NOREPLACE of renameat2(2)
_EXCHANGE: Final = 2  # RENAME_SWAP, RENAME_EXCHANGE
_UNSUPPORTED: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_AT_FDCWD: Final = -100


def sync_tree(path: Path) -> int:
    """Bring a file, or a folder with all that is in it, to the disk.

    Returns:
        The bytes of its regular files.
    """
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return _sync_file(path)
    if not stat.S_ISDIR(mode):
        return 0
    size = sum(sync_tree(Path(entry.path)) for entry in _entries(path))
    sync_folder(path)
    return size


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


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


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from entries


def _sync_file(path: Path) -> int:
    with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size


@contextmanager
def _opened(path: Path, flags: int) -> Generator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename with a flag that `os.rename` does not have; False where system or file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(source), os.fsencode(target)
    try:
        failed = libc.renamex_np(old, new, flag) if _DARWIN else libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, flag)
    except AttributeError:
        return False
    if failed:
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        raise OSError(number, os.strerror(number), str(source), None, str(target))
    return True
