"""Between SQLite and the operating system: record what it writes, syncs, makes and removes, and do it all the same.

SQLite calls the system through a table of functions (https://sqlite.org/vfs.html). Ours is a copy of the default table with a
few functions wrapped, registered as the default in the very library that Python's sqlite3 is linked with. So whatever opens a
database in this process afterwards is recorded, with nothing changed.

It assumes that nothing else in this process makes or removes files in the database's folder, but that the database's own may
be there before it is opened (which counts as made at that moment). The -shm file is no part of it: it need not survive.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any, Final

from tests.faults.power.recording import Created, Event, FolderSynced, Removed, Synced, Truncated, Written

_RECORDED: Final = 0x100 | 0x800 | 0x80000
"""SQLITE_OPEN_MAIN_DB, _MAIN_JOURNAL and _WAL."""

_OPEN: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_WRITE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE: Final = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN_FOLDER: Final = CFUNCTYPE(c_int, c_void_p, c_void_p)
_GET_CALL: Final = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
_SET_CALL: Final = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)


class _Vfs(Structure):
    _fields_ = [
        ("version", c_int), ("file_size", c_int), ("path_max", c_int), ("next", c_void_p), ("name", c_char_p),
        ("data", c_void_p), ("open", c_void_p), ("delete", c_void_p), ("access", c_void_p), ("full_path", c_void_p),
        *((f"dl_{number}", c_void_p) for number in range(4)),
        ("randomness", c_void_p), ("sleep", c_void_p), ("time", c_void_p), ("last_error", c_void_p), ("time_64", c_void_p),
        ("set_call", c_void_p), ("get_call", c_void_p), ("next_call", c_void_p),
    ]  # fmt: skip


class _Methods(Structure):
    _fields_ = [
        ("version", c_int), ("close", c_void_p), ("read", c_void_p), ("write", c_void_p), ("truncate", c_void_p),
        ("sync", c_void_p), *((f"other_{number}", c_void_p) for number in range(13)),
    ]  # fmt: skip


class CannotRecord(Exception):
    """The SQLite library of this Python cannot be reached, so no power cut can be tried with it."""


class Recorder:
    """Records from its making to the end of the process; `events` is all that happened."""

    def __init__(self) -> None:
        self.events: Final[list[Event]] = []
        self._library: Final = library()
        self._library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        real: Any = self._library.sqlite3_vfs_find(None)
        self._real: Final = real
        self._files: Final[dict[int, int]] = {}
        self._inodes: Final[dict[str, tuple[int, int]]] = {}
        self._made = 0
        self._folder: Final = threading.local()
        self._kept: Final[list[object]] = []  # what C points to must not be collected
        self._methods: Final[dict[int, _Methods]] = {}
        self._open = _OPEN(real.contents.open)
        self._delete = _DELETE(real.contents.delete)
        self._watch_folders()
        self._register()

    # -- the wrapped functions of the file system

    def _on_open(self, _: int, name: int, file: int, flags: int, out: int) -> int:
        code: int = self._open(ctypes.addressof(self._real.contents), name, file, flags, out)
        if code == 0 and name and flags & _RECORDED:
            self._note_file(os.fsdecode(ctypes.string_at(name)), file)
            methods = ctypes.cast(file, POINTER(c_void_p))
            methods[0] = ctypes.addressof(self._wrapped(methods[0]))
        return code

    def _on_delete(self, _: int, name: int, sync: int) -> int:
        code: int = self._delete(ctypes.addressof(self._real.contents), name, sync)
        path = os.fsdecode(ctypes.string_at(name))
        if code == 0 and self._inodes.pop(path, None) is not None:
            self.events.append(Removed(Path(path).name))
            if sync:
                self.events.append(FolderSynced(len(self.events)))
        return code

    def _note_file(self, path: str, file: int) -> None:
        inode = Path(path).stat().st_ino
        if self._inodes.get(path, (0, 0))[0] != inode:
            self._made += 1
            self._inodes[path] = (inode, self._made)
            self.events.append(Created(Path(path).name, self._made))
        self._files[file] = self._inodes[path][1]

    # -- the wrapped functions of a file

    def _wrapped(self, at: int) -> _Methods:
        if at not in self._methods:
            real = _Methods.from_address(at)
            copy = _Methods.from_buffer_copy(real)
            copy.write = self._callback(_WRITE, self._writes(_WRITE(real.write)))
            copy.truncate = self._callback(_TRUNCATE, self._truncates(_TRUNCATE(real.truncate)))
            copy.sync = self._callback(_SYNC, self._syncs(_SYNC(real.sync)))
            self._methods[at] = copy
        return self._methods[at]

    def _writes(self, real: Callable[..., int]) -> Callable[..., int]:
        def write(file: int, data: int, size: int, offset: int) -> int:
            code = real(file, data, size, offset)
            self.events.append(Written(self._files[file], offset, ctypes.string_at(data, size)))
            return code

        return write

    def _truncates(self, real: Callable[..., int]) -> Callable[..., int]:
        def truncate(file: int, size: int) -> int:
            code = real(file, size)
            self.events.append(Truncated(self._files[file], size))
            return code

        return truncate

    def _syncs(self, real: Callable[..., int]) -> Callable[..., int]:
        def sync(file: int, flags: int) -> int:
            before = len(self.events)
            self._folder.opened = False
            code = real(file, flags)
            if code == 0:
                self.events.append(Synced(self._files[file], before))
                if self._folder.opened:
                    self.events.append(FolderSynced(before))
            return code

        return sync

    def _watch_folders(self) -> None:
        """SQLite opens a folder for one purpose alone: to sync it, within the sync of a file that it has made there."""
        vfs, name = ctypes.addressof(self._real.contents), b"openDirectory"
        real = _OPEN_FOLDER(_GET_CALL(self._real.contents.get_call)(vfs, name))

        def open_folder(path: int, out: int) -> int:
            self._folder.opened = True
            code: int = real(path, out)
            return code

        if _SET_CALL(self._real.contents.set_call)(vfs, name, self._callback(_OPEN_FOLDER, open_folder)):
            raise CannotRecord("SQLite's opening of folders cannot be watched")

    # -- becoming the default

    def _register(self) -> None:
        ours = _Vfs.from_buffer_copy(self._real.contents)
        ours.name = b"recorded"
        ours.open = self._callback(_OPEN, self._on_open)
        ours.delete = self._callback(_DELETE, self._on_delete)
        self._kept.append(ours)
        if self._library.sqlite3_vfs_register(ctypes.byref(ours), 1):
            raise CannotRecord("SQLite takes no other file system")

    def _callback(self, kind: Any, function: Callable[..., int]) -> int | None:
        def guarded(*args: int) -> int:
            try:
                return function(*args)
            except BaseException:  # noqa: BLE001 - C cannot be told: a recording with a gap proves nothing
                traceback.print_exc()
                os._exit(70)

        callback = kind(guarded)
        self._kept.append(callback)
        return ctypes.cast(callback, c_void_p).value


def library() -> Any:
    """The SQLite that sqlite3 uses in this process.

    Raises:
        CannotRecord: it is linked in a way that hides its functions; says where it was looked for.
    """
    with sqlite3.connect(":memory:") as connection:
        [source] = connection.execute("SELECT sqlite_source_id()").fetchone()
    connection.close()
    looked = list(dict.fromkeys(_candidates()))
    for path in looked:
        found = ctypes.CDLL(path)
        if hasattr(found, "sqlite3_vfs_register"):
            found.sqlite3_sourceid.restype = c_char_p
            if found.sqlite3_sourceid().decode() == source:
                return found
    raise CannotRecord(
        f"no library among {looked} is the SQLite {source} of {sys.executable}; use a Python that links it openly"
    )


def _candidates() -> Iterator[str]:
    paths = [line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line]
    yield from (path for path in paths if "libsqlite3" in path)
    yield from (path for path in paths if "_sqlite3" in path or "libpython" in path)
    yield sys.executable
