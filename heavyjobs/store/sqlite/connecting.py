"""Connections, each on a thread of its own: a writer that is patient with other writers, and a reader that nobody holds up.

Guaranteed
- a write is one BEGIN IMMEDIATE transaction: it never has to upgrade a lock, and what it has read stays true until it commits;
- waiting is ours, short and jittered: SQLite's own busy handler starves all but the luckiest of many writers;
- what is urgent goes before all that waits: only the transaction that runs may be in its way;
- the log is moved into the database (a checkpoint) only under the write lock, so that no other writer can reset the log
  meanwhile: in SQLite before 3.51.3 that may damage the database (https://sqlite.org/wal.html#walresetbug);
- a durable write was synced to the disk when it returns, and survives a power cut; others (ticks, news and logs of what still
  runs) may be undone by one, the newest first, and only as far back as the last durable one (tests/faults/test_power_cuts.py);
- a database whose files were removed or replaced takes no durable write from then on, and a moment later
  (`LOOK_SECONDS`) is neither written nor read any more, until they are back in their place;
- on a full disk ticks go on in the room that the log keeps (`heavyjobs.store.sqlite.room`), while what adds rows is refused.

Assumed
- that the work done in a transaction may be done again: it changes nothing but the database.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from heavyjobs.errors import StoreUnavailable, UsageError
from heavyjobs.store.sqlite.errors import is_busy, is_full, no_room, taken_away, told
from heavyjobs.store.sqlite.files import Inode, inodes, missing
from heavyjobs.store.sqlite.room import can_reserve, has_room, reserve

T = TypeVar("T")

LOG_MAX_BYTES: Final = 4 << 20
"""From this size on, the log is moved into the database."""

LIBRARY_MIN: Final = (3, 37, 0)
"""The first with strict tables."""

LOOK_SECONDS: Final = 0.02
"""How long the files are taken to be in their place, once seen there, by what a power cut may undo and by what only reads."""

RESERVE_SECONDS: Final = 30.0
"""How long the log is left as it is, once it was tried to give it all its room."""

_PAUSE_SECONDS: Final = (0.0003, 0.003)


def library_fits(version: tuple[int, ...]) -> bool:
    """Whether a version of the SQLite library has all that the schema and the statements use."""
    return version >= LIBRARY_MIN


def connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for nobody and leaves transactions to us; to a file that is there, for it makes none.

    One made here would stand, empty and readable for all, in the place of a database that was taken away.
    """
    where = f"file://{quote(os.fsencode(path))}?mode=rw"
    connection = sqlite3.connect(
        where, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    # SQLite has it since 3.41; lists of ids need it.
    connection.create_function("unhex", 1, bytes.fromhex, deterministic=True)
    for pragma in ("mmap_size = 0", "wal_autocheckpoint = 0", f"journal_size_limit = {LOG_MAX_BYTES}"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


class Reader:
    """A thread with a connection, on which one piece of work is done after the other.

    Args:
        where: the database as people know it, for errors.
        timeout_seconds: of one piece of work, its turn and locks of others included.
    """

    def __init__(self, path: Path, *, where: str, timeout_seconds: float) -> None:
        self._path: Final = path
        self._where: Final = where
        self._timeout_seconds: Final = timeout_seconds
        self._executor: ThreadPoolExecutor | None = None
        self._opened: sqlite3.Connection | None = None
        self._files: Mapping[str, Inode] = {}
        self._look_at = 0.0
        self._urgent: Final = deque[Callable[[], None]]()
        self._line: Final = deque[Callable[[], None]]()

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: the file is no database, or may not be used.
        """
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"heavyjobs-sqlite-{type(self).__name__.lower()}")
        try:
            await self._do(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        executor, self._executor = self._executor, None
        if executor is None:
            return
        # What the thread does last may have to wait for its turn; then there is nothing left for `shutdown` to wait for.
        closed = executor.submit(self._close)
        try:
            await asyncio.shield(asyncio.wrap_future(closed))
        finally:
            executor.shutdown(wait=closed.done())

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that only reads."""
        return await self._do(lambda deadline: self._patiently(lambda: work(self._connection), deadline=deadline))

    # -- on the thread

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            raise UsageError(f"{self._where}: the store is not open; enter it: async with")
        return self._opened

    def _open(self, deadline: float) -> None:
        if not library_fits(sqlite3.sqlite_version_info):
            raise StoreUnavailable(
                f"{self._where}: this Python has SQLite {sqlite3.sqlite_version}, "
                f"which is older than {'.'.join(map(str, LIBRARY_MIN))}; use a newer Python or system library"
            )
        self._opened = connect(self._path)
        self._look(deadline)

    def _look(self, deadline: float) -> None:
        """Read the header: the first to notice that the file is no database. From then on its log is there, if it has one."""
        self._patiently(lambda: self._connection.execute("PRAGMA schema_version").close(), deadline=deadline)
        self._files = inodes(self._path)

    def _close(self) -> None:
        connection, self._opened = self._opened, None
        if connection is not None:
            connection.close()

    async def _do(self, work: Callable[[float], T], *, urgent: bool = False, durable: bool = False) -> T:
        """Run `work` on the thread, with the time on the monotonic clock by which it has to be done."""
        if self._executor is None:
            raise UsageError(f"{self._where}: the store is not open; enter it: async with")
        deadline = time.monotonic() + self._timeout_seconds
        answer = Future[T]()
        (self._urgent if urgent else self._line).append(
            lambda: _answer(answer, lambda: self._told(work, deadline, durable=durable))
        )
        # A turn for each piece of work, but not a certain one: whoever has a turn takes what is urgent first.
        self._executor.submit(self._take_turn)
        return await asyncio.wrap_future(answer)

    def _take_turn(self) -> None:
        (self._urgent or self._line).popleft()()

    def _told(self, work: Callable[[float], T], deadline: float, *, durable: bool) -> T:
        now = time.monotonic()
        if now > deadline:
            raise StoreUnavailable(
                f"{self._where}: earlier calls took all of {self._timeout_seconds:g} s; "
                "the disk is too slow for this load, or the machine was asleep"
            )
        if durable or now >= self._look_at:
            self._look_for_files(now)
        with told(self._where, self._path, timeout_seconds=self._timeout_seconds):
            return work(deadline)

    def _look_for_files(self, now: float) -> None:
        self._look_at = 0.0
        if gone := missing(self._files):
            raise taken_away(self._where, gone)
        self._look_at = now + LOOK_SECONDS

    def _patiently(self, attempt: Callable[[], T], *, deadline: float) -> T:
        """Try until nobody is in the way."""
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - spreads the tries, keeps no secret


def _answer(answer: Future[T], work: Callable[[], T]) -> None:
    """Do the work, unless nobody waits for it any more."""
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        answer.set_exception(error)


class Writer(Reader):
    """The one writer of a store."""

    def __init__(self, path: Path, *, where: str, timeout_seconds: float) -> None:
        super().__init__(path, where=where, timeout_seconds=timeout_seconds)
        self._log: Final = path.with_name(f"{path.name}-wal")
        self._durable: bool | None = None
        self._reserve_at = 0.0

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, durable: bool, urgent: bool = False, adds: bool = False
    ) -> T:
        """Do work in a transaction of its own; it commits when `work` returns and is undone when it raises.

        Args:
            durable: whether the commit must survive a power cut; others may be undone by one, in the order they came.
            urgent: whether it goes before all that waits for its turn.
            adds: whether it adds rows, which is refused while the disk is full: the little that is left is for the rest.
        """

        def attempt() -> T:
            if adds and not has_room(self._path.parent):
                raise no_room(self._where, self._path)
            return self._making_room(lambda: self._transact(work, durable=durable))

        return await self._do(lambda deadline: self._patiently(attempt, deadline=deadline), urgent=urgent, durable=durable)

    async def write_at_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do one statement that writes, and what reads after it, before all that waits for its turn.

        Without a transaction of its own: half the statements.
        """

        def attempt() -> T:
            return self._making_room(lambda: self._alone(work))

        return await self._do(lambda deadline: self._patiently(attempt, deadline=deadline), urgent=True)

    def _alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._sync(durable=False)
        self._reserve()
        return work(self._connection)

    def _reserve(self) -> None:
        """Give the log its whole length, if it has less; not again for a while, for each try takes the write lock."""
        now = time.monotonic()
        if now < self._reserve_at or not can_reserve() or self._log_bytes() >= LOG_MAX_BYTES:
            return
        self._locked(lambda: reserve(self._log, LOG_MAX_BYTES))
        self._reserve_at = now + RESERVE_SECONDS

    def _open(self, deadline: float) -> None:
        super()._open(deadline)
        [mode] = self._patiently(lambda: self._connection.execute("PRAGMA journal_mode = WAL").fetchone(), deadline=deadline)
        if mode != "wal":
            raise StoreUnavailable(
                f"{self._where}: the file system of {self._path} cannot share memory between processes, "
                "which SQLite's write-ahead log needs; put the file on a local disk, or use postgresql://"
            )
        self._look(deadline)

    def _transact(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        connection = self._connection
        self._sync(durable=durable)
        try:
            connection.execute("BEGIN IMMEDIATE")
            if self._log_bytes() > LOG_MAX_BYTES:
                self._empty_log()
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk ends the transaction by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _making_room(self, attempt: Callable[[], T]) -> T:
        """On a full disk try once more, with what the log holds moved into the database: its room is there to be used again."""
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
        self._locked(self._empty_log)
        return attempt()

    def _locked(self, work: Callable[[], T]) -> T:
        """Do what changes no row, while nobody else writes."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            return work()
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _sync(self, *, durable: bool) -> None:
        if self._durable is not durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _empty_log(self) -> None:
        """Checkpoint under the write lock that is held, then begin anew: the next to write starts the log from its beginning.

        It takes a second connection, since the one in a transaction may not; a reader in the way leaves a rest for next time.
        """
        with closing(connect(self._path)) as helper:
            helper.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN IMMEDIATE")
