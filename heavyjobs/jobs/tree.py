"""A folder or file on disk as members, in the order of their names."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from loguru import logger

from heavyjobs.jobs.members import Member, Sort
from heavyjobs.jobs.places import open_regular
from heavyjobs.jobs.trouble import SourceChanged, SourceMissing, shown, stop


@dataclass(slots=True)
class Totals:
    """What a tree holds.

    Attributes:
        state: says something else whenever the tree holds something else; folders' times do not count.
    """

    files: int = 0
    bytes: int = 0
    state: str = ""


class Tree:
    """What lies under a path.

    Sockets, FIFOs and devices are left out, each with a warning in the log, and counted in `skipped`.

    Args:
        root: a folder, or a single file.
        name: of the root's own member, and the first part of all others; may be empty.
        without: paths that are left out, such as an output that is being written into the same folder.
        exclude: patterns of names, like `*.tmp` or `.git`, that are left out with all that is in them.
        hardlinks: whether further names of one file are given as hard links, else as files of their own.
    """

    def __init__(
        self, root: Path, *, name: str, without: Collection[Path] = (), exclude: Collection[str] = (), hardlinks: bool
    ) -> None:
        self._root: Final = root
        self._name: Final = name
        self._without: Final = frozenset(without)
        self._names_without: Final = frozenset(path.name for path in self._without)
        self._exclude: Final = tuple(exclude)
        self._hardlinks: Final = hardlinks
        self.skipped = 0

    def measure(self) -> Totals:
        """Count what `members` will give, by looking without reading."""
        totals, state = Totals(), hashlib.sha256()
        for name, _, status in self._entries():
            if stat.S_ISREG(status.st_mode):
                totals.files += 1
                totals.bytes += status.st_size
            state.update(_state(name, status).encode(errors="surrogateescape"))
        totals.state = state.hexdigest()
        return totals

    def members(self) -> Iterator[tuple[Member, Unchanging | None]]:
        """Each member, a folder before what is in it, and the bytes of a file, to be read before the next one is asked for.

        Raises:
            Stopped: SourceChanged, SourceMissing.
        """
        names: dict[tuple[int, int], str] = {}
        for name, path, status in self._entries():
            inode = (status.st_dev, status.st_ino)
            if stat.S_ISREG(status.st_mode) and inode in names:
                yield _member(name, Sort.HARDLINK, status, link=names[inode]), None
            elif stat.S_ISREG(status.st_mode):
                if self._hardlinks and status.st_nlink > 1:
                    names[inode] = name
                yield from _file(name, path)
            elif stat.S_ISDIR(status.st_mode):
                yield _member(name, Sort.FOLDER, status), None
            elif stat.S_ISLNK(status.st_mode):
                yield _member(name, Sort.SYMLINK, status, link=_link(path)), None
            else:
                self.skipped += 1
                logger.warning("left out {}: neither file, folder nor link", shown(name))

    def _entries(self) -> Iterator[tuple[str, str, os.stat_result]]:
        waiting = [(self._name, str(self._root), _look(str(self._root), follow=True))]
        while waiting:
            name, path, status = waiting.pop()
            yield name, path, status
            if stat.S_ISDIR(status.st_mode):
                inside = [child for child in _names(path) if self._wanted(path, child)]
                folder = path.removesuffix("/")
                prefix = f"{name}/" if name else ""
                waiting += [(prefix + child, f"{folder}/{child}", _look(f"{folder}/{child}", follow=False)) for child in inside]

    def _wanted(self, folder: str, name: str) -> bool:
        if self._without and name in self._names_without and Path(folder, name) in self._without:
            return False
        return not (self._exclude and any(fnmatchcase(name, pattern) for pattern in self._exclude))


class Unchanging:
    """Reads a file up to the size it had when it was opened, and makes sure that it is still the same at the end.

    Attributes:
        descriptor: for whoever reads it in another way, and then says `read_elsewhere`.
    """

    def __init__(self, file: BinaryIO, status: os.stat_result, path: str) -> None:
        self._file: Final = file
        self._status: Final = status
        self._path: Final = path
        self._left = status.st_size
        self.descriptor: Final = file.fileno()

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        if not data or self._left == 0:
            self._check()
        return data

    def read_elsewhere(self) -> None:
        """All of it was read by its descriptor.

        Raises:
            Stopped: SourceChanged.
        """
        self._left = 0
        self._check()

    def _check(self) -> None:
        now = os.fstat(self._file.fileno())
        if self._left or (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            stop(SourceChanged, "changed while it was read", where=self._path, would_do="try again when nobody writes to it")


def _file(name: str, path: str) -> Iterator[tuple[Member, Unchanging]]:
    with _opened(path) as file:
        status = os.fstat(file.fileno())
        yield _member(name, Sort.FILE, status), Unchanging(file, status, path)


def _opened(path: str) -> BinaryIO:
    try:
        return open_regular(path)
    except PermissionError:
        stop(SourceMissing, "may not be read", where=path, would_do="give the runner permission to read it")
    except OSError:
        _gone(path)


def _names(path: str) -> list[str]:
    """What is in a folder, last name first, as a stack wants it."""
    try:
        with os.scandir(path) as entries:
            return sorted((entry.name for entry in entries), reverse=True)
    except PermissionError:
        stop(SourceMissing, "may not be read", where=path, would_do="give the runner permission to read it")
    except OSError:
        _gone(path)


def _look(path: str, *, follow: bool) -> os.stat_result:
    try:
        return os.stat(path) if follow else os.lstat(path)  # noqa: PTH116 - a Path for each of thousands takes longer
    except FileNotFoundError:
        _gone(path)


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except OSError:
        _gone(path)


def _gone(path: str) -> NoReturn:
    stop(SourceChanged, "went away while the folder was read", where=path, would_do="try again when nobody writes to it")


def _state(name: str, status: os.stat_result) -> str:
    """What differs when an entry does."""
    data = "" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} {status.st_mtime_ns}"
    return f"{status.st_dev} {status.st_ino} {status.st_mode:o} {data} {name}\0"


def _member(name: str, sort: Sort, status: os.stat_result, *, link: str = "") -> Member:
    return Member(
        name=name,
        sort=sort,
        size=status.st_size if sort is Sort.FILE else 0,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        link=link,
    )
