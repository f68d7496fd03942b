"""One connection for the length of one verb: statements asked by name, wake-ups told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.rows import BaseRowFactory, TupleRow, scalar_row, tuple_row

from heavyjobs.errors import HeavyjobsError
from heavyjobs.store.postgres.wakeups import News, written
from heavyjobs.store.statements import statements

T = TypeVar("T")

Connection: TypeAlias = AsyncConnection[TupleRow]

SQL: Final[Mapping[str, bytes]] = {name: sql.encode() for name, sql in statements("heavyjobs.store.postgres").items()}


def break_off(connection: Connection) -> None:
    """End a connection at once, whoever waits for it: they read that it was closed."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as raw:
        raw.shutdown(socket.SHUT_RDWR)


async def is_direct(connection: Connection) -> bool:
    """Whether no pooler is between.

    One gives each transaction to whichever session is free: settings, prepared statements and LISTEN would be another's.
    """
    [backend] = await Talk(connection, notify=False).rows("backend", scalar_row)
    return bool(backend == connection.info.backend_pid)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the server may work or wait for a lock, and wait for us within a transaction."""

    timeout_seconds: float
    idle_seconds: float

    def values(self) -> dict[str, str]:
        """In milliseconds, as the settings are called that they are for."""
        return {"timeout": str(round(self.timeout_seconds * 1000)), "idle": str(round(self.idle_seconds * 1000))}


@dataclass(slots=True)
class Talk:
    """A connection, and whether wake-ups are sent on it.

    Each statement of a transaction sees what others have committed, whatever the database's default is: one that waits for
    another's lock, to take what that leaves, must not look at what was there before (`forfeit`, of a claim just committing).

    Attributes:
        bounds: of each transaction, where the session is not ours alone and so was not told of them.
    """

    connection: Connection
    notify: bool
    bounds: Bounds | None = None
    _pipeline: AsyncPipeline | None = None

    async def ask(self, statement: str, row: BaseRowFactory[T], /, **values: object) -> AsyncCursor[T]:
        """Send a statement; inside `together` its rows can be had once all are sent, and `answers` were waited for."""
        return await self.connection.cursor(binary=True, row_factory=row).execute(SQL[statement], values)

    async def answers(self) -> None:
        """Inside `together`: wait until all that was sent is answered.

        The server is told that this is all for now (Sync). Only then it counts the time that a transaction is idle: of a host
        that vanishes after a mere flush it would keep the locks for ever (tests/faults/test_database_vanished.py).
        """
        if self._pipeline is not None:
            await self._pipeline.sync()

    async def rows(self, statement: str, row: BaseRowFactory[T], /, **values: object) -> list[T]:
        """Send a statement and wait for its rows."""
        cursor = await self.ask(statement, row, **values)
        await self.answers()
        return await cursor.fetchall()

    async def do(self, statement: str, /, **values: object) -> None:
        """Send a statement that has no rows to tell."""
        await self.ask(statement, tuple_row, **values)

    async def tell(self, news: News) -> None:
        """Wake those whom it concerns once the transaction has committed; one notification at most."""
        if self.notify and (payload := written(news)):
            await self.do("notify", payload=payload)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """One transaction, a round trip for each statement."""
        async with self.connection.transaction():
            if self.bounds is not None:
                await self.do("bounds", **self.bounds.values())
            yield

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[None]:
        """One transaction whose statements travel together: a round trip whenever rows are waited for, and one for the end.

        psycopg's own transaction() sends Sync and Flush before the COMMIT, and at the Flush the server stops to count.
        """
        try:
            async with self.connection.pipeline() as self._pipeline:
                await self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                if self.bounds is not None:
                    await self.do("bounds", **self.bounds.values())
                yield
                await self.connection.execute("COMMIT")
        except HeavyjobsError:
            await self.connection.rollback()
            raise
        finally:
            self._pipeline = None
