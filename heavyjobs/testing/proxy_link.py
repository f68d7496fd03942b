"""One connection through the proxy: two pumps, and what is done to it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from heavyjobs.testing.wire import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    SSL_REQUEST,
    Conversation,
    Frames,
    request_code,
    startup_values,
)

READ_BYTES: Final = 1 << 16

RESULTS: Final = (b"1", b"2", b"3", b"C", b"D", b"I", b"T", b"n", b"s", b"t")
"""Types of the server's messages that answer a statement."""


class Way(StrEnum):
    """A direction."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


@dataclass(slots=True, kw_only=True)
class Ambush:
    """A fault that waits for its moment, and happens once.

    Attributes:
        words: of a statement of the transaction that it waits for; empty for any.
        passing: how many such transactions pass unharmed before.
        answered: whether the server gets to do it and the client does not hear, or neither.
    """

    words: str
    passing: int
    answered: bool
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, statements: str) -> bool:
        """Whether this is the one; to be asked once for each transaction."""
        if self.happened.is_set() or self.words not in statements:
            return False
        self.passing -= 1
        return self.passing < 0


class Link:
    """A client's connection and its continuation to the server."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        ambushes: Sequence[Ambush],
    ) -> None:
        self.name = ""
        """The client's application_name."""
        self.delays: Final[dict[Way, float]] = dict.fromkeys(Way, 0.0)
        self.flowing: Final = asyncio.Event()
        self._readers: Final = {Way.TO_SERVER: client[0], Way.TO_CLIENT: server[0]}
        self._writers: Final = {Way.TO_SERVER: server[1], Way.TO_CLIENT: client[1]}
        self._closed: Final[set[Way]] = set()
        self._torn: Final[set[Way]] = set()
        self._talk: Final = Conversation()
        self._withheld: Final[list[bytes]] = []
        self._ambushes: Final = ambushes

    @property
    def listens(self) -> bool:
        """Whether it is a listener's."""
        return self._talk.listens

    @property
    def process_id(self) -> int | None:
        """Of the server's process at the other end, once it has said so."""
        return self._talk.process_id

    # -- faults

    def drop(self) -> None:
        """Close both ends at once, whatever is still under way."""
        for writer in self._writers.values():
            writer.transport.abort()
        self.flowing.set()  # what was held back meets a closed connection, and so ends the pumps

    def reset(self) -> None:
        """Break both ends off (RST)."""
        for writer in self._writers.values():
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    def half_close(self, way: Way) -> None:
        """Say "no more" in that direction, where what still comes is swallowed; the other goes on."""
        self._closed.add(way)
        with suppress(OSError, RuntimeError):
            self._writers[way].write_eof()

    def tear(self, way: Way) -> None:
        """Let half of the next message through, then break both ends off."""
        self._torn.add(way)

    # -- work

    async def run(self) -> None:
        """Until both ends are closed."""
        try:
            if await self._introduce():
                pumps = [asyncio.create_task(self._pump(way), name=f"proxy {way}") for way in Way]
                try:
                    await asyncio.gather(*pumps)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.wait(pumps)
        except (OSError, EOFError):
            pass  # one end broke off: so does the other
        finally:
            self.drop()

    async def _introduce(self) -> bool:
        """Pass on who the client is; encryption is declined, for then nothing could be read."""
        while True:
            head = await self._readers[Way.TO_SERVER].readexactly(8)
            rest = await self._readers[Way.TO_SERVER].readexactly(struct.unpack("!I", head[:4])[0] - 8)
            match request_code(head):
                case code if code in (SSL_REQUEST, GSS_REQUEST):
                    await self._send(Way.TO_CLIENT, b"N")
                case code:
                    await self._send(Way.TO_SERVER, head + rest)
                    self.name = "" if code == CANCEL_REQUEST else startup_values(head + rest).get("application_name", "")
                    return True

    async def _pump(self, way: Way) -> None:
        frames = Frames()
        look = self._look_at_question if way is Way.TO_SERVER else self._look_at_answer
        while data := await self._readers[way].read(READ_BYTES):
            passed = b"".join(part for message in frames.feed(data) for part in look(message))
            if passed:
                await self._send(way, passed)
        await self._passable(way)
        self.half_close(way)

    async def _send(self, way: Way, data: bytes) -> None:
        await self._passable(way)
        if way in self._torn:
            self._writers[way].write(data[: max(1, len(data) // 2)])
            self.reset()
            raise ConnectionResetError
        if way not in self._closed:
            self._writers[way].write(data)
            await self._writers[way].drain()

    async def _passable(self, way: Way) -> None:
        if self.delays[way]:
            await asyncio.sleep(self.delays[way])
        await self.flowing.wait()

    def _look_at_question(self, message: bytes) -> Sequence[bytes]:
        if statement := self._talk.ask(message):
            self._fall_into(statement, answered=False)
        return [message]

    def _look_at_answer(self, message: bytes) -> Sequence[bytes]:
        """What may be passed on now: of a commit nothing before all of it."""
        kind, statements = message[:1], self._talk.transaction
        reveals = self._talk.answer(message)
        if kind == b"Z":
            if self._talk.end_of_trip(message):
                self._fall_into(statements, answered=True)
        elif reveals and kind in RESULTS:
            self._withheld.append(message)
            return []
        passed = [*self._withheld, message]
        self._withheld.clear()
        return passed

    def _fall_into(self, statements: str, *, answered: bool) -> None:
        for ambush in self._ambushes:
            if ambush.answered is answered and ambush.strikes(statements):
                ambush.happened.set()
                raise ConnectionResetError
