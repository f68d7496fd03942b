"""A folder of this host as a place. Parts lie in a hidden file beside their key, and the list of them in another.

Guarantees: a part is on the disk before the list names it, so what the list names survives a power cut.
Assumes: nobody who may write to the folder swaps folders for symlinks while a job works in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final
from uuid import uuid4

from loguru import logger

from heavyjobs import durable
from heavyjobs.parts import upload_name
from heavyjobs.storage.failures import AlreadyThere, Changed, Denied, NotThere, StorageFailed, Unusable
from heavyjobs.storage.keys import HIDDEN, joined
from heavyjobs.storage.protocol import PIECE_BYTES, Condition, Found, Limits, Notes, Part, Source


class LocalStorage:
    """What lies in a folder; a key that is empty names `root` itself, which may then be a file."""

    limits: ClassVar[Limits] = Limits(smallest=1, largest=1 << 30, count=1 << 20)
    keeps_notes: ClassVar[bool] = False
    keeps_times: ClassVar[bool] = True

    def __init__(self, root: Path) -> None:
        self._root: Final = root
        self.skipped = 0

    def stat(self, key: str) -> Found | None:
        with _said(key):
            try:
                status = self._path(key).stat(follow_symlinks=not key)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _found(key, status) if stat.S_ISREG(status.st_mode) else None

    def walk(self, key: str) -> Iterator[Found]:
        waiting = [key]
        while waiting:
            folder = waiting.pop()
            with _said(folder), os.scandir(self._path(folder)) as entries:
                seen = [entry for entry in entries if not entry.name.startswith(HIDDEN)]
                children = [(entry.name, entry.stat(follow_symlinks=False)) for entry in seen]
            for name, status in children:
                child = joined(folder, name)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(child)
                elif stat.S_ISREG(status.st_mode):
                    yield _found(child, status)
                else:
                    self.skipped += 1
                    logger.warning("left out {!r}: neither file nor folder", child)

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        with _said(found.key):
            descriptor = os.open(self._path(found.key), _READING | (os.O_NOFOLLOW if found.key else 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file, _said(found.key):
            left = count
            while left and (data := os.pread(descriptor, min(left, PIECE_BYTES), start + count - left)):
                left -= len(data)
                yield data
            if left or _version(os.fstat(file.fileno())) != found.version:
                raise Changed(found.key, "changed while it was read")

    def put(self, key: str, data: bytes, *, notes: Notes, condition: Condition) -> None:
        upload = self.begin(key, notes=notes)
        try:
            with _said(key):
                self._data(key, upload).write_bytes(data)
            self.commit(key, upload, [], notes=notes, condition=condition)
        finally:
            self.abort(key, upload)

    def begin(self, key: str, *, notes: Notes) -> str:
        upload = upload_name(notes.maker, uuid4().hex)
        with _said(key):
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            self._data(key, upload).touch(exist_ok=False)
            self._ledger(key, upload).touch(exist_ok=False)
        return upload

    def put_part(self, key: str, upload: str, *, number: int, start: int, data: bytes) -> Part:
        self._write(key, upload, data, start)
        with _said(key), self._ledger(key, upload).open("ab", buffering=0) as ledger:
            ledger.write(f"{number} {len(data)}\n".encode())
        return Part(number, len(data), "")

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        with _said(key):
            text = self._ledger(key, upload).read_text()
        lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [*{int(number): Part(int(number), int(size), "") for number, size in lines}.values()]

    def read_part(self, key: str, upload: str, part: Part, *, start: int) -> bytes | None:
        with _said(key), self._data(key, upload).open("rb") as file:
            file.seek(start)
            return file.read(part.bytes)

    def commit(self, key: str, upload: str, parts: Sequence[Part], *, notes: Notes, condition: Condition) -> None:
        data, path = self._data(key, upload), self._path(key)
        with _said(key):
            if parts and data.stat().st_size != sum(part.bytes for part in parts):
                raise Unusable(key, "the parts do not fill the file")
            if notes.mtime is not None:
                os.utime(data, (notes.mtime, notes.mtime))
            durable.sync_tree(data)
            _drop_cache(data)
            self._check(key, condition)
            (durable.rename_new if condition.new else durable.rename_over)(data, path)
            durable.sync_folder(path.parent)
        self.abort(key, upload)

    def abort(self, key: str, upload: str) -> None:
        with _said(key):
            self._data(key, upload).unlink(missing_ok=True)
            self._ledger(key, upload).unlink(missing_ok=True)

    def copies_from(self, source: Source) -> bool:
        return isinstance(source, LocalStorage)

    def copy(self, source: Source, found: Found, key: str, *, notes: Notes, condition: Condition) -> None:
        if not isinstance(source, LocalStorage):
            raise Unusable(key, "can be copied by this host only from a folder of it")
        upload = self.begin(key, notes=notes)
        try:
            with _said(key), source._path(found.key).open("rb") as old, self._data(key, upload).open("wb") as new:  # noqa: SLF001
                _copy_range(old.fileno(), new.fileno(), found.bytes)
                if _version(os.fstat(old.fileno())) != found.version:
                    raise Changed(found.key, "changed while it was read")
            self.commit(key, upload, [], notes=notes, condition=condition)
        finally:
            self.abort(key, upload)

    def delete(self, key: str) -> None:
        with _said(key):
            self._path(key).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        """The path of a key, of which no folder leads out of the place."""
        if not key:
            return self._root
        path = self._root / key
        if "/" in key and not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self._root)):
            raise Unusable(key, "a symlink on the way leads out of the location", would_do="use a key that stays inside")
        return path

    def _data(self, key: str, upload: str) -> Path:
        return self._path(key).parent / f"{HIDDEN}{upload}"

    def _ledger(self, key: str, upload: str) -> Path:
        return self._path(key).parent / f"{HIDDEN}{upload}.parts"

    def _write(self, key: str, upload: str, data: bytes, start: int) -> None:
        with _said(key), self._data(key, upload).open("r+b", buffering=0) as file:
            file.seek(start)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())

    def _check(self, key: str, condition: Condition) -> None:
        if condition.version is not None:
            found = self.stat(key)
            if found is None or found.version != condition.version:
                raise AlreadyThere(key, "changed meanwhile")


_READING: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def _found(key: str, status: os.stat_result) -> Found:
    return Found(key=key, bytes=status.st_size, version=_version(status), notes=Notes(mtime=status.st_mtime))


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _drop_cache(path: Path) -> None:
    """Make the next read, which may be there to compare, come from the disk, where the system can."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _copy_range(old: int, new: int, count: int) -> None:
    """Inside the kernel, which may share the blocks."""
    while count > 0:
        done = os.copy_file_range(old, new, min(count, 1 << 26)) if hasattr(os, "copy_file_range") else _copy_piece(old, new)
        if not done:
            return
        count -= done


def _copy_piece(old: int, new: int) -> int:
    return os.write(new, os.read(old, PIECE_BYTES))


@contextmanager
def _said(key: str) -> Generator[None]:
    """The system's errors in the words of the protocol; a full disk and I/O errors stay what they are."""
    try:
        yield
    except StorageFailed:
        raise
    except FileNotFoundError:
        raise NotThere(key, "is not there") from None
    except FileExistsError:
        raise AlreadyThere(key, "exists") from None
    except PermissionError:
        raise Denied(key, "may not be read or written", would_do="give the runner permission") from None
    except (NotADirectoryError, IsADirectoryError):
        raise Unusable(key, "is a folder, or lies below a file", would_do="use another target") from None
