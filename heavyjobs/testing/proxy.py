"""A TCP proxy in front of PostgreSQL that does to its connections what networks, servers and machines do.

    async with FaultyProxy(url) as proxy:
        store = open_store(proxy.url)
        lost = proxy.lose_answer("UPDATE heavyjobs.coordinators")

It guarantees
- that it listens on loopback only, on one port for all its life, also while it refuses;
- that messages are passed on whole, so that a fault hits where it is said to;
- that `heal` ends all that lasts, and the end of the block closes every connection.

It assumes a server on TCP that is asked through psycopg or another client of protocol 3; encryption is declined.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

from heavyjobs.testing.proxy_link import Ambush, Link, Way

__all__ = ["Ambush", "FaultyProxy", "Link", "Way", "everyone"]

Choice: TypeAlias = Callable[[Link], bool]
"""Which connections a fault is for."""


def everyone(link: Link) -> bool:
    """All connections; with faults that last, also those that are yet to come."""
    return bool(link)


class FaultyProxy:
    """In the loop that enters it; each fault is a method, done when it returns."""

    def __init__(self, url: str) -> None:
        self._behind: Final = urlsplit(url)
        self._links: Final[set[Link]] = set()
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._ambushes: Final[list[Ambush]] = []
        self._frozen = False
        self._delays = dict.fromkeys(Way, 0.0)
        self._keeper: Final = _bound(0)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The database's, by way of the proxy."""
        user, at, _ = self._behind.netloc.rpartition("@")
        return self._behind._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    @property
    def links(self) -> list[Link]:
        """The connections that are open."""
        return list(self._links)

    @property
    def _port(self) -> int:
        port: int = self._keeper.getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._keeper.close()

    # -- faults that last

    def refuse(self) -> None:
        """Let nobody in any more (connection refused); those who are in stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Let connections in again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_bound(self._port))

    def delay(self, *, to_server: float = 0.0, to_client: float = 0.0, of: Choice = everyone) -> None:
        """Pass on what comes that many seconds later."""
        delays = {Way.TO_SERVER: to_server, Way.TO_CLIENT: to_client}
        if of is everyone:
            self._delays = delays
        for link in filter(of, self._links):
            link.delays.update(delays)

    def freeze(self, of: Choice = everyone) -> None:
        """Pass on nothing, and say nothing: as behind a cable that was pulled, or half open."""
        self._frozen = self._frozen or of is everyone
        for link in filter(of, self._links):
            link.flowing.clear()

    def thaw(self) -> None:
        """Pass on all that was held back, and what comes."""
        self._frozen = False
        for link in self._links:
            link.flowing.set()

    async def heal(self) -> None:
        """Back to normal, but for what is broken already."""
        self._ambushes.clear()
        self.delay()
        self.thaw()
        await self.accept()

    # -- faults of a moment

    def drop(self, of: Choice = everyone) -> None:
        """Close connections."""
        for link in filter(of, self.links):
            link.drop()

    def reset(self, of: Choice = everyone) -> None:
        """Break connections off: both ends read that their peer has reset them."""
        for link in filter(of, self.links):
            link.reset()

    def tear(self, way: Way, of: Choice = everyone) -> None:
        """Break connections off in the middle of the next message that goes in this direction."""
        for link in filter(of, self._links):
            link.tear(way)

    def half_close(self, way: Way, of: Choice = everyone) -> None:
        """Say in this direction that no more will come, and swallow what does; the other direction goes on."""
        for link in filter(of, self._links):
            link.half_close(way)

    def lose_answer(self, words: str = "", *, passing: int = 0) -> Ambush:
        """Close a connection once the server has committed a transaction, before the client hears anything of that.

        Args:
            words: of one of its statements; any will do if empty.
            passing: let so many of them pass before.
        """
        return self._lie_in_wait(Ambush(words=words, passing=passing, answered=True))

    def lose_question(self, words: str = "", *, passing: int = 0) -> Ambush:
        """Close a connection instead of passing on a statement with these words."""
        return self._lie_in_wait(Ambush(words=words, passing=passing, answered=False))

    def _lie_in_wait(self, ambush: Ambush) -> Ambush:
        self._ambushes.append(ambush)
        return ambush

    # -- work

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._link(reader, writer), name="a connection through the proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(self._behind.hostname, self._behind.port or 5432)
        except OSError:
            writer.transport.abort()
            return
        link = Link((reader, writer), server, self._ambushes)
        link.delays.update(self._delays)
        if not self._frozen:
            link.flowing.set()
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


def _bound(port: int) -> socket.socket:
    """A socket on that port. As long as one is bound, the port is ours, and without one that listens it refuses."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
