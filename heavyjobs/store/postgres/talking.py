"""One connection for the length of one verb: statements asked by name, wake-ups told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import BaseRowFactory, TupleRow, scalar_row, tuple_row

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
class Talk:
    """A connection, and whether wake-ups are sent on it."""

    connection: Connection
    notify: bool

    async def ask(self, statement: str, row: BaseRowFactory[T], /, **values: object) -> AsyncCursor[T]:
        """Send a statement; inside `together` its rows can be had once all are sent."""
        return await self.connection.cursor(binary=True, row_factory=row).execute(SQL[statement], values)

    async def rows(self, statement: str, row: BaseRowFactory[T], /, **values: object) -> list[T]:
        """Send a statement and wait for its rows."""
        return await (await self.ask(statement, row, **values)).fetchall()

    async def do(self, statement: str, /, **values: object) -> None:
        """Send a statement that has no rows to tell."""
        await self.ask(statement, tuple_row, **values)

    async def tell(self, news: News) -> None:
        """Wake those whom it concerns once the transaction has committed; one notification at most."""
        if self.notify and (payload := written(news)):
            await self.do("notify", payload=payload)

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[None]:
        """One transaction whose statements travel together: a round trip whenever rows are waited for, and one for the end."""
        async with self.connection.pipeline(), self.connection.transaction():
            yield
