"""sqlite3's errors become ours, in this one place: where, what, what would do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heavyjobs.errors import HeavyjobsError, SchemaMismatch, StoreError, StoreUnavailable, Unstorable
from heavyjobs.store.sqlite.room import has_room_for_files

_PRIMARY: Final = 0xFF
"""An extended result code carries its primary one in the lowest byte."""

_LOCKS: Final = Path("/proc/locks")
_WRITE_LOCK_BYTE: Final = 120
"""Of the -shm file: who has it locked writes (https://sqlite.org/walformat.html#locks)."""

_REMEDIES: Final = {
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look at the rights of the file and of its folder",
    sqlite3.SQLITE_PERM: "may not be opened; look at the rights of the file and of its folder",
    sqlite3.SQLITE_READONLY: "cannot be written; let this user write the file and its folder",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; it was left as it is: name another file, or bring back a backup",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop every coordinator and bring back a backup, or try sqlite3's .recover",
    sqlite3.SQLITE_FULL: "has no room left on its disk; free some, nothing was written",
    sqlite3.SQLITE_IOERR: "cannot be read or written; look at the disk and at the kernel's log",
    sqlite3.SQLITE_NOMEM: "needs more memory than there is",
}

_VALUES: Final = frozenset({
    sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CONSTRAINT_NOTNULL, 3091,  # the last: datatype
})  # fmt: skip
"""What is wrong is a value, not the database."""

_SAID_MAX: Final = 100
"""Characters of what SQLite said that are passed on: it may hold a damaged value as a whole."""

_UNSTORABLE: Final = "the database cannot hold such a value; use a shorter or plainer one"


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 when the error is of the Python module's own."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection was in the way, so that trying again may do."""
    return code_of(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room left on the disk."""
    return code_of(error) == sqlite3.SQLITE_FULL


def taken_away(where: str, gone: Sequence[str]) -> StoreUnavailable:
    """What to say when files of an open database are not in their place any more."""
    return StoreUnavailable(
        f"{where}: {gone[0]} was removed or replaced while it was in use; put it back, or stop every coordinator and client, "
        "bring back a backup without any -wal and -shm beside it, and start them again"
    )


def no_room(where: str, path: Path) -> StoreUnavailable:
    """What to say when next to nothing is free, before SQLite would say so."""
    return StoreUnavailable(f"{where}: {path} {_REMEDIES[sqlite3.SQLITE_FULL]}")


@contextmanager
def told(where: str, path: Path, *, timeout_seconds: float) -> Generator[None]:
    """Turn what sqlite3 raises in the block into our errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise ours(error, where, path, timeout_seconds=timeout_seconds) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise Unstorable(f"{where}: {error}; {_UNSTORABLE}") from error


def ours(error: sqlite3.Error, where: str, path: Path, *, timeout_seconds: float) -> HeavyjobsError:
    """What to raise instead."""
    if is_busy(error):
        return StoreUnavailable(
            f"{where}: still locked by {_holder(path)} after {timeout_seconds:g} s; "
            "end its transaction, or give the store a longer timeout"
        )
    if code_of(error) == sqlite3.SQLITE_CANTOPEN and not has_room_for_files(path.parent):
        return StoreUnavailable(f"{where}: the disk of {path} has no room for another file; remove some")
    if remedy := _REMEDIES.get(_damage(error) or code_of(error)):
        return StoreUnavailable(f"{where}: {path} {remedy} ({str(error)[:_SAID_MAX]})")
    if "no such table" in str(error) or "no such column" in str(error):
        return SchemaMismatch(f"{where}: {error}; run heavyjobs migrate")
    if _is_about_a_value(error):
        return Unstorable(f"{where}: {error}; {_UNSTORABLE}")
    return StoreError(f"{where}: {error}")


def _damage(error: sqlite3.Error) -> int:
    """What SQLite itself does not notice: all text was Unicode when it was written."""
    return sqlite3.SQLITE_CORRUPT if "Could not decode to UTF-8" in str(error) else 0


def _is_about_a_value(error: sqlite3.Error) -> bool:
    # A value of an unknown type is an InterfaceError to older Pythons, and a ProgrammingError to newer ones.
    odd = isinstance(error, (sqlite3.DataError, sqlite3.InterfaceError)) or "binding" in str(error)
    return odd or getattr(error, "sqlite_errorcode", 0) in _VALUES


def _holder(path: Path) -> str:
    # Only looked at from outside: opening and closing the -shm file would drop this process's own locks on it.
    try:
        pid = holder_of(path.with_name(f"{path.name}-shm").stat().st_ino, _LOCKS.read_text())
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip() if pid else ""
    except OSError:
        return "another process"
    if pid == os.getpid():
        return "another connection of this process"
    return f"process {pid} ({name})" if pid else "another process"


def holder_of(inode: int, locks: str) -> int | None:
    """Who writes, from the text of /proc/locks: the process with an exclusive lock on the write-lock byte of that inode."""
    for line in locks.splitlines():
        match line.split():
            case [_, "POSIX", _, "WRITE", pid, file, first, last] if (
                file.rpartition(":")[2] == str(inode) and last != "EOF" and int(first) <= _WRITE_LOCK_BYTE <= int(last)
            ):
                return int(pid)
            case _:
                pass
    return None
