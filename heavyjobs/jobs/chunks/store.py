"""A folder of chunks: each in a file that is named by its SHA-256, under the first two digits of it, as in `ab/abcdef…`.

Guarantees: what has a chunk's name was whole and on the disk before it got it; equal chunks are one file, whoever stores them;
no name leads out of the folder, neither by its spelling (it is a digest) nor through a symlink that lies there.
Assumes: nobody else writes under these names. Whoever reads a chunk compares it with its digest all the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

from heavyjobs import durable
from heavyjobs.jobs.places import source_path, target_path
from heavyjobs.jobs.trouble import Refused, SourceMissing, TargetTaken, stop
from heavyjobs.locations import Locations

Flaw: TypeAlias = Literal["missing", "damaged"]

WORTH_STARTING_BYTES: Final = 64 << 10
"""So much is written at once without loss, and is there when the next sync asks for it."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_CHUNK: Final = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EIO}
"""Of opening or reading what is no chunk, or lies on a bad sector."""


class ChunkStore:
    """An open folder of chunks; at most 257 descriptors."""

    def __init__(self, path: Path, *, where: str) -> None:
        self.path: Final = path
        self.where: Final = where
        self._root: Final = os.open(path, _FOLDER)
        self._folders: Final[dict[str, int]] = {}

    def close(self) -> None:
        for descriptor in (*self._folders.values(), self._root):
            os.close(descriptor)

    def holds(self, sha256: str, size: int) -> bool:
        """Whether a chunk of that name and size is there; not whether it is sound."""
        folder = self._folder(sha256)
        if folder is None:
            return False
        try:
            status = os.stat(sha256, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def read(self, sha256: str, size: int) -> bytes | Flaw:
        """A chunk, compared with its digest, or what is wrong with it."""
        folder = self._folder(sha256)
        if folder is None:
            return "missing"
        try:
            data = _read(sha256, folder, size)
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            if error.errno not in _NO_CHUNK:
                raise
            return "damaged"
        return data if data is not None and hashlib.sha256(data).hexdigest() == sha256 else "damaged"

    def take(self, new: Path, digests: list[str]) -> None:
        """Give files of the folder `new`, which are on the disk, their names here; they are the store's when this returns.

        Raises:
            Stopped: TargetTaken, when a folder has the name of a chunk.
        """
        folders = {sha256[:2]: self._folder_for(sha256) for sha256 in digests}
        for sha256 in digests:
            try:
                os.replace(new / sha256, sha256, dst_dir_fd=folders[sha256[:2]])
            except IsADirectoryError:
                stop(TargetTaken, f"a folder has the name of the chunk {sha256}", where=self.where, would_do="remove it")
        durable.sync_folders([self._root, *folders.values()])

    def _folder_for(self, sha256: str) -> int:
        with suppress(FileExistsError):
            os.mkdir(sha256[:2], dir_fd=self._root)
        found = self._folder(sha256)
        if found is None:
            raise FileNotFoundError(f"{self.path / sha256[:2]} went away")
        return found

    def _folder(self, sha256: str) -> int | None:
        """The descriptor of the folder that a chunk belongs into, if it is there."""
        name = sha256[:2]
        if name not in self._folders:
            try:
                self._folders[name] = os.open(name, _FOLDER, dir_fd=self._root)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                    raise
                stop(Refused, f"{name} in it is no folder", where=self.where, would_do="use a folder that only holds chunks")
        return self._folders[name]


class NewChunks:
    """Chunks on their way into a store: written beside each other in a scratch folder of the store, then taken all at once.

    One wait for the disk for many chunks: one for each took 4 ms a chunk.
    """

    def __init__(self, store: ChunkStore, folder: Path) -> None:
        self._store: Final = store
        self._folder: Final = folder
        self._waiting: Final[dict[str, None]] = {}

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._waiting

    def add(self, sha256: str, data: memoryview) -> None:
        descriptor = os.open(self._folder / sha256, _WRITE, 0o644)
        self._waiting[sha256] = None
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
            if len(data) >= WORTH_STARTING_BYTES:
                durable.start_writing(descriptor)

    def settle(self) -> None:
        """Bring all of the folder to the disk, and the chunks among it into the store."""
        durable.sync_tree(self._folder)
        if self._waiting:
            self._store.take(self._folder, [*self._waiting])
        self._waiting.clear()


@contextmanager
def opened_store(path: Path, *, where: str) -> Generator[ChunkStore]:
    """Open a folder of chunks, which is there."""
    store = ChunkStore(path, where=where)
    try:
        yield store
    finally:
        store.close()


def store_to_read(locations: Locations, text: str) -> Path:
    """The folder of chunks that a parameter names.

    Raises:
        Stopped: SourceMissing or Refused.
    """
    path = source_path(locations, text)
    if not path.is_dir():
        stop(SourceMissing, "is no folder", where=text, would_do="use the one that chunk.split filled")
    return path.resolve()


def store_to_fill(locations: Locations, text: str) -> Path:
    """The folder of chunks that a parameter names, made where only that one is missing.

    Raises:
        Stopped: TargetTaken, TargetUnusable or Refused.
    """
    path = target_path(locations, text, overwrite=True, folder=True)
    with suppress(FileExistsError):
        path.mkdir()
    if not path.is_dir():
        stop(TargetTaken, "is no folder", where=text, would_do="use another one for the chunks")
    return path.resolve()


def _read(name: str, folder: int, size: int) -> bytes | None:
    """A regular file of exactly that size; None when it is something else."""
    with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return None
        data = file.read(size)
        return data if len(data) == size else None
