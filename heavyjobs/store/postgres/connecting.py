"""Connections that are bounded in number and in time, and verbs repeated when one was lost under them.

A coordinator's ticks have a connection of their own, which nothing else may be busy on: were they to wait in line with submits
and records, a flood of these would let the lease lapse.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection, IsolationLevel, errors
from psycopg.rows import TupleRow, scalar_row
from psycopg_pool import AsyncConnectionPool

from heavyjobs.errors import HeavyjobsError, StoreUnavailable
from heavyjobs.store.patience import Patience
from heavyjobs.store.postgres.addresses import Address
from heavyjobs.store.postgres.errors import Interrupted, casts_doubt, told, unreachable
from heavyjobs.store.postgres.limiting import CANCEL_SECONDS, broken_off, cancellable, is_over
from heavyjobs.store.postgres.talking import Bounds, Connection, Talk, break_off, is_direct
from heavyjobs.store.records import StoreOptions

T = TypeVar("T")

TRIES: Final = 3
RECONNECT_SECONDS: Final = 3.0
"""The pool doubles the wait between its attempts; after this long it begins anew with the next call."""

PREPARE_AFTER: Final = 5
"""A statement that is asked more often than this on one connection is prepared."""

IDLE_SECONDS: Final = 3.0
"""How long the server waits for the next statement of a transaction, which comes at once unless the client has vanished."""

VANISHED_SECONDS: Final = 5.0
"""A transaction of ours that waits for its client for longer has none any more."""

VERSION_MIN: Final = 130_000


Pool: TypeAlias = AsyncConnectionPool[Connection]


class Database:
    """The pool, how a verb gets a connection of it, and `control`, a second one for ticks."""

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self._address: Final = address
        self._options: Final = options
        self._pool: Final = self._new_pool("heavyjobs", least=1, most=options.connections)
        # Opened by the first tick: a client never ticks.
        self._control: Final = self._new_pool("heavyjobs-control", least=0, most=1)
        self._in_use: Final[dict[Connection, float]] = {}
        self._renewed_at: Final = {self._pool: 0.0, self._control: 0.0}

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: says where, what and what would do. (The pool alone would only say that it took too long.)
        """
        try:
            async with asyncio.timeout(self._options.timeout_seconds + 1):
                connection = await AsyncConnection[TupleRow].connect(self._address.conninfo)
            version = connection.info.server_version
            await connection.close()
        except TimeoutError:
            raise unreachable(self._address.shown, psycopg.errors.ConnectionTimeout("connection timeout expired")) from None
        except psycopg.Error as error:
            raise unreachable(self._address.shown, error) from None
        if version < VERSION_MIN:
            raise StoreUnavailable(f"{self._address.shown}: PostgreSQL {version // 10_000} is too old; use 13 or newer")
        await self._pool.open()
        await self._control.open()

    async def close(self) -> None:
        await self._control.close()
        await self._pool.close()

    async def once(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work` on a connection, for verbs whose second answer would be another."""
        with cancellable():
            async with self._ending_vanished():
                return await self._try(self._pool, doing, work, self._options.timeout_seconds)

    async def repeated(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work`, and again, a few times, when the connection was lost or another transaction was in the way."""
        return await self._repeated(self._pool, doing, work, self._options.timeout_seconds)

    async def control(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """The same on the connection that is kept for short words of a session: silence is not waited for to the end."""
        return await self._repeated(self._control, doing, work, self._options.timeout_seconds / TRIES)

    async def _repeated(self, pool: Pool, doing: str, work: Callable[[Talk], Awaitable[T]], try_seconds: float) -> T:
        patience = Patience(first_seconds=0.02)
        timeout = self._options.timeout_seconds
        with cancellable():
            async with self._ending_vanished():
                with told(self._address.shown, doing, timeout_seconds=timeout):
                    async with asyncio.timeout(timeout):
                        for _ in range(TRIES - 1):
                            try:
                                return await self._try(pool, doing, work, try_seconds)
                            except Interrupted:
                                await patience.wait()
                        return await self._try(pool, doing, work, try_seconds)

    async def _try(self, pool: Pool, doing: str, work: Callable[[Talk], Awaitable[T]], seconds: float) -> T:
        again = seconds < self._options.timeout_seconds
        with told(self._address.shown, doing, timeout_seconds=seconds, again=again):
            async with asyncio.timeout(seconds) as limit, self._talk(pool, limit) as talk:
                return await work(talk)

    @asynccontextmanager
    async def _ending_vanished(self) -> AsyncGenerator[None]:
        """What stood in the way for so long may be a transaction whose client vanished in a moment that nothing else bounds."""
        try:
            yield
        except StoreUnavailable as error:
            if isinstance(error.__cause__, (TimeoutError, errors.QueryCanceled, errors.LockNotAvailable)):
                await self._end_vanished()
            raise

    async def _end_vanished(self) -> None:
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS) as limit, self._talk(self._pool, limit) as talk:
                await talk.rows("end_vanished", scalar_row, idle_seconds=VANISHED_SECONDS)

    async def unbounded(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work` for as long as it takes."""
        with cancellable(), told(self._address.shown, doing, timeout_seconds=self._options.timeout_seconds):
            async with self._talk(self._pool) as talk:
                return await work(talk)

    def _new_pool(self, name: str, *, least: int, most: int) -> Pool:
        return AsyncConnectionPool[Connection](
            self._address.conninfo,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=least,
            max_size=most,
            timeout=self._options.timeout_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            configure=self._configure,
            name=name,
            open=False,
        )

    @asynccontextmanager
    async def _talk(self, pool: Pool, limit: asyncio.Timeout | None = None) -> AsyncGenerator[Talk]:
        """A connection of the pool, which is closed after any error but one of ours; the pool opens another.

        A pipeline that is cut short leaves psycopg sure of prepared statements that the server never got to read.
        """
        async with pool.connection() as connection:
            taken = time.monotonic()
            with broken_off(connection, limit), self._known(connection, taken if limit else None):
                try:
                    yield Talk(connection, self._options.notify, None if connection.prepare_threshold else self._bounds())
                except HeavyjobsError:
                    raise
                except BaseException as error:
                    await connection.close()
                    if casts_doubt(error) or is_over(limit):
                        await self._doubt(pool, taken)
                    raise

    @contextmanager
    def _known(self, connection: Connection, taken: float | None) -> Generator[None]:
        """Have it among those that `give_up_silent` may break off."""
        if taken is not None:
            self._in_use[connection] = taken
        try:
            yield
        finally:
            self._in_use.pop(connection, None)

    async def give_up_silent(self, since: float) -> None:
        """The network has forgotten a connection: have new ones for all that were made, or waited upon, before `since`."""
        for connection in [connection for connection, taken in self._in_use.items() if taken < since]:
            break_off(connection)
        for pool in self._renewed_at:
            await self._doubt(pool, since)

    async def _doubt(self, pool: Pool, since: float) -> None:
        """Where one connection is lost or silent, those that are idle often are too: have new ones, unasked.

        Asking each would take as long as the silent ones stay silent.
        """
        if self._renewed_at[pool] < since:
            self._renewed_at[pool] = time.monotonic()
            await pool.drain()

    def _bounds(self) -> Bounds:
        timeout = self._options.timeout_seconds
        return Bounds(timeout_seconds=timeout, idle_seconds=min(timeout, IDLE_SECONDS))

    async def _configure(self, connection: Connection) -> None:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        if self._options.notify and await is_direct(connection):
            connection.prepare_threshold = PREPARE_AFTER
            await Talk(connection, notify=False).do("settings", **self._bounds().values())
