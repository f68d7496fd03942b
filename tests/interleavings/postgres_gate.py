"""A gate in front of a real PostgreSQL: a proxy that reads the messages, and holds each statement until it may go on.

Statements that travel together in a pipeline are held one by one too: a Flush after each makes the server answer at once, and
changes nothing else. A commit is a step of its own, also that of a statement outside of any transaction, which is the Sync.
What no other session could notice (BEGIN, a notification before its commit) passes freely. Who waits for a lock is known from
`pg_blocking_pids`.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from heavyjobs.store.postgres.talking import SQL
from tests.interleavings.scheduler import Actor, Effect

_FREE: Final = frozenset({"BEGIN", "backend", "bounds", "end_vanished", "notify", "settings", "other"})
_ENDS: Final = frozenset({"COMMIT", "ROLLBACK"})

_FLUSH: Final = b"H\x00\x00\x00\x04"


def step_of(sql: str) -> str:
    """The name of a statement of ours, or the first word of one that ends or begins a transaction."""
    word = sql.split(maxsplit=1)[0].upper() if sql.strip() else ""
    if word in {"BEGIN", *_ENDS}:
        return word
    # Looked up anew, for a test may have planted another text.
    plain = re.sub(r"\$\d+", "$", sql)
    return next((name for name, ours in SQL.items() if _plain(ours) == plain), "other")


@cache
def _plain(sql: bytes) -> str:
    return re.sub(r"%\(\w+\)s", "$", sql.decode())


@cache
def _effect(sql: str) -> Effect:
    tables = frozenset(re.findall(r"heavyjobs\.(\w+)", sql))
    shared = frozenset(re.findall(r"FROM\s+heavyjobs\.(\w+)(?:(?!FROM).)*?FOR KEY SHARE", sql, re.DOTALL))
    written = frozenset(re.findall(r"(?:UPDATE|INSERT INTO)\s+heavyjobs\.(\w+)", sql))
    # Which of the other tables it locks is not looked for: all of them, then.
    locked = tables - shared if re.search(r"FOR (?:NO KEY )?UPDATE", sql) else frozenset[str]()
    return Effect(looks=tables, shares=shared, touches=written | locked)


class PostgresGate:
    """Who waits for a lock, by the server's word."""

    def __init__(self, watching: AsyncConnection[TupleRow]) -> None:
        self._watching: Final = watching
        self.pids: Final[dict[Actor, int]] = {}

    async def blocked(self, actors: Collection[Actor]) -> bool:
        pids = [self.pids[actor] for actor in actors if actor in self.pids]
        cursor = await self._watching.execute(
            "SELECT bool_and(cardinality(pg_blocking_pids(pid)) > 0) FROM unnest(%s::integer[]) AS pid", [pids]
        )
        [answer] = await cursor.fetchone() or [False]
        return bool(answer) and len(pids) == len(actors)

    @asynccontextmanager
    async def proxy(self, actor: Actor, url: str) -> AsyncGenerator[str]:
        """Lead an actor's connections through the gate; the URL to give to its store."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 5432
        wires: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            wires.add(task)
            up = await asyncio.open_connection(host, port)
            try:
                await _Wire(self, actor, reader, writer, *up).run()
            finally:
                wires.discard(task)
                for end in (writer, up[1]):
                    end.close()

        server = await asyncio.start_server(connected, "127.0.0.1")
        here = server.sockets[0].getsockname()[1]
        try:
            account = parts.netloc.rpartition("@")[0]
            yield parts._replace(netloc=f"{account}@127.0.0.1:{here}", query="sslmode=disable&gssencmode=disable").geturl()
        finally:
            server.close()
            for task in wires:
                task.cancel()
            await asyncio.gather(*wires, return_exceptions=True)


class _Wire:
    """One connection between a client and the server."""

    def __init__(
        self,
        gate: PostgresGate,
        actor: Actor,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._gate, self._actor = gate, actor
        self._client, self._to_client = client, to_client
        self._server, self._to_server = server, to_server
        self._pid = 0
        self._sqls: dict[bytes, str] = {}
        self._bound = ""
        self._waiting = b""
        self._in_block = False
        self._open = False
        self._failed = False
        self._answered = asyncio.Event()

    async def run(self) -> None:
        both = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    # -- from the client

    async def _up(self) -> None:
        try:
            head = await self._client.readexactly(4)
            self._to_server.write(head + await self._client.readexactly(struct.unpack("!i", head)[0] - 4))
            while True:
                kind, message = await _read(self._client)
                self._waiting += message
                await self._take(kind, message[5:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def _take(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"P":
                name, sql, _ = body.split(b"\0", 2)
                self._sqls[name] = sql.decode()
            case b"B":
                self._bound = self._sqls[body.split(b"\0", 2)[1]]
            case b"E":
                step = step_of(self._bound)
                await self._statement(step, _FLUSH)
                self._open = not self._in_block and step not in _ENDS | _FREE
            case b"Q":
                await self._statement(step_of(body.rstrip(b"\0").decode()), b"")
            case b"S":
                if self._open and not self._failed:
                    await self._pass("COMMIT")
                self._open = self._failed = False
                self._send(b"")
            case b"D" | b"C":
                pass  # part of what is executed or ended next
            case _:
                self._send(b"")

    async def _statement(self, step: str, also: bytes) -> None:
        """Send it when it may go; go on when it has been answered."""
        if not self._failed:  # else the server skips everything until the next Sync
            await self._pass(step)
        self._answered.clear()
        self._send(also)
        if not self._failed:
            await self._answered.wait()

    async def _pass(self, step: str) -> None:
        if not self._actor.armed or step in _FREE:
            return
        self._gate.pids[self._actor] = self._pid
        let_go = asyncio.Event()
        self._actor.arrive(step, _effect(SQL.get(step, b"").decode()), let_go.set, ends=step in _ENDS)
        await let_go.wait()

    def _send(self, also: bytes) -> None:
        self._to_server.write(self._waiting + also)
        self._waiting = b""

    # -- from the server

    async def _down(self) -> None:
        try:
            while True:
                kind, message = await _read(self._server)
                self._to_client.write(message)
                self._hear(kind, message[5:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _hear(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"K":
                self._pid = struct.unpack("!i", body[:4])[0]
            case b"C":
                tag = body.rstrip(b"\0")
                self._in_block = tag == b"BEGIN" or (self._in_block and tag not in {b"COMMIT", b"ROLLBACK"})
                self._answered.set()
            case b"E":
                self._failed = True
                self._answered.set()
            case b"I" | b"s":
                self._answered.set()
            case b"Z":
                self._in_block = body != b"I"
                self._failed = False
                self._answered.set()
            case _:
                pass


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
