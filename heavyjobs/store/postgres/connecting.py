"""Connections that are bounded in number and in time, and verbs repeated when one was lost under them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, tuple_row
from psycopg_pool import AsyncConnectionPool

from heavyjobs.errors import HeavyjobsError, StoreUnavailable
from heavyjobs.store.patience import Patience
from heavyjobs.store.postgres.addresses import Address
from heavyjobs.store.postgres.errors import Interrupted, told, unreachable
from heavyjobs.store.postgres.talking import Connection, Talk
from heavyjobs.store.protocol import StoreOptions

T = TypeVar("T")

TRIES: Final = 3
RECONNECT_SECONDS: Final = 3.0
"""The pool doubles the wait between its attempts; after this long it begins anew with the next call."""

VERSION_MIN: Final = 130_000


@contextmanager
def cancellable() -> Generator[None]:
    """Raise a cancel that was swallowed in the block: before Python 3.12 asyncio.wait_for may, and the pool waits with it.

    A loop over verbs would go on for ever otherwise, and whoever cancelled it would wait for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


class Database:
    """The pool, and how a verb gets a connection of it."""

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self._address: Final = address
        self._options: Final = options
        # A pooler between us gives each transaction another session, so neither settings nor prepared statements would hold.
        self._direct: Final = options.notify and options.listen_url is None
        self._pool: Final = AsyncConnectionPool[Connection](
            address.conninfo,
            kwargs={"autocommit": True, "prepare_threshold": 5 if self._direct else None},
            min_size=1,
            max_size=options.connections,
            timeout=options.timeout_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            configure=self._configure,
            name="heavyjobs",
            open=False,
        )

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

    async def close(self) -> None:
        await self._pool.close()

    async def once(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work` on a connection, for verbs whose second answer would be another."""
        timeout = self._options.timeout_seconds
        with cancellable(), told(self._address.shown, doing, timeout_seconds=timeout):
            async with asyncio.timeout(timeout), self._talk() as talk:
                return await work(talk)

    async def repeated(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work`, and again, a few times, when the connection was lost or another transaction was in the way."""
        patience = Patience(first_seconds=0.02)
        timeout = self._options.timeout_seconds
        with cancellable(), told(self._address.shown, doing, timeout_seconds=timeout):
            async with asyncio.timeout(timeout):
                for _ in range(TRIES - 1):
                    try:
                        return await self.once(doing, work)
                    except Interrupted:
                        await patience.wait()
                        # Where one connection is lost, the idle ones beside it often are too.
                        await self._pool.check()
                return await self.once(doing, work)

    async def unbounded(self, doing: str, work: Callable[[Talk], Awaitable[T]]) -> T:
        """Do `work` for as long as it takes."""
        with cancellable(), told(self._address.shown, doing, timeout_seconds=self._options.timeout_seconds):
            async with self._talk() as talk:
                return await work(talk)

    @asynccontextmanager
    async def _talk(self) -> AsyncGenerator[Talk]:
        """A connection of the pool, which is closed after any error but one of ours; the pool opens another.

        A pipeline that is cut short leaves psycopg sure of prepared statements that the server never got to read.
        """
        async with self._pool.connection() as connection:
            try:
                yield Talk(connection, self._options.notify)
            except HeavyjobsError:
                raise
            except BaseException:
                await connection.close()
                raise

    async def _configure(self, connection: Connection) -> None:
        if self._direct:
            milliseconds = str(round(self._options.timeout_seconds * 1000))
            await Talk(connection, notify=False).ask("settings", tuple_row, timeout=milliseconds)
