"""What a SQLite file says of its own fitness: where it lies, by which library it is used, whether it is whole."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from heavyjobs.store.records import Checked, Fit
from heavyjobs.store.sqlite.addresses import file_system
from heavyjobs.store.sqlite.connecting import LOG_MAX_BYTES
from heavyjobs.units import show_bytes

WAL_RESET_MENDED: Final = (3, 51, 3)
"""Before, two connections that move and begin the log at once could damage the database: https://sqlite.org/wal.html."""

SPACE_MIN_BYTES: Final = 1 << 30
DAMAGES_MAX: Final = 5

PROMISE: Final = Checked("power cuts", Fit.FINE, "synchronous is FULL for what was accepted and for how it ended")
"""Said, not looked at: each connection sets it for itself, before each durable write."""

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def places(path: Path) -> Iterator[Checked]:
    """The file system, the room on it, the log beside the file, and who may read it."""
    kind = file_system(path.parent) or "unknown"
    if kind in _IN_MEMORY:
        yield Checked("file system", Fit.REMARK, f"{kind}: all jobs are lost at the next boot; put the file on a disk")
    else:
        yield Checked("file system", Fit.FINE, f"{kind}, local")
    free = shutil.disk_usage(path.parent).free
    room = f"{show_bytes(free)} are free in {path.parent}"
    low = free < SPACE_MIN_BYTES
    yield Checked("disk space", Fit.REMARK if low else Fit.FINE, f"{room}; make some" if low else room)
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and (size := log.stat().st_size) > 10 * LOG_MAX_BYTES:
        yield Checked("log", Fit.REMARK, f"{show_bytes(size)} wait in {log.name}: a reader keeps it from being emptied; end it")
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Checked("privacy", Fit.REMARK, f"other users may read parameters and logs; unless they should: chmod 600 {path}")


def library() -> Iterator[Checked]:
    """The SQLite that this Python has; other programs that write the file may have another."""
    found = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info >= WAL_RESET_MENDED:
        yield Checked("library", Fit.FINE, found)
    else:
        mended = ".".join(map(str, WAL_RESET_MENDED))
        yield Checked(
            "library",
            Fit.REMARK,
            f"{found} has the WAL-reset bug (mended in {mended}); heavyjobs avoids it, other programs that write to this file "
            "may not: let them only read, or use a newer SQLite",
        )


def integrity(connection: sqlite3.Connection) -> Sequence[Checked]:
    """Whether all pages hold together; reads the whole file, and keeps its log from being emptied meanwhile."""
    try:
        found = [row[0] for row in connection.execute(f"PRAGMA quick_check({DAMAGES_MAX})")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found == ["ok"]:
        return [Checked("integrity", Fit.FINE, "every page is sound")]
    repair = "stop all coordinators, keep a copy, restore a backup or try sqlite3 FILE .recover"
    return [Checked("integrity", Fit.WRONG, f"{damage}; {repair}") for damage in found]
