"""As much of PostgreSQL's protocol as a fault needs: where messages end, what was asked, and when it has committed.

Source: PostgreSQL's manual, chapters "Message Flow" and "Message Formats" of the protocol, version 3.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102

SEPARATOR: Final = "\0"
"""Between statements; no statement has it in it."""


class Frames:
    """Cuts a stream of bytes into whole messages, each with its type and length."""

    def __init__(self) -> None:
        self._rest: Final = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now."""
        self._rest.extend(data)
        found: list[bytes] = []
        at = 0
        while len(self._rest) >= at + 5:
            end = at + 1 + int(struct.unpack_from("!I", self._rest, at + 1)[0])
            if len(self._rest) < end:
                break
            found.append(bytes(self._rest[at:end]))
            at = end
        del self._rest[:at]
        return found


def request_code(message: bytes) -> int:
    """What a client's first message is, which has no type: one of the requests above, or the version of the protocol."""
    code: int = struct.unpack_from("!I", message, 4)[0]
    return code


def startup_values(message: bytes) -> dict[str, str]:
    """What a client says of itself: user, database, application_name."""
    words = message[8:].split(b"\0")
    return {name.decode(): value.decode() for name, value in zip(words[::2], words[1::2], strict=False) if name}


class Conversation:
    """What one connection has asked, and which of it is being answered.

    It assumes that a transaction is begun and committed by words of their own, or is one round trip.
    """

    def __init__(self) -> None:
        self.process_id: int | None = None
        self.listens = False
        self._prepared: Final[dict[bytes, str]] = {}
        self._asking: list[str] = []
        self._asked: Final[deque[list[str]]] = deque()
        self._transaction: list[str] = []
        self._begun = False
        self._committing = False
        self._failed = False

    @property
    def transaction(self) -> str:
        """The statements of the transaction that is being answered."""
        return SEPARATOR.join([*self._transaction, *(self._asked[0] if self._asked else self._asking)])

    def ask(self, message: bytes) -> str:
        """The client says this; the statement that it wants done by it, or nothing."""
        statement = ""
        match message[:1]:
            case b"P":
                name, sql, _ = message[5:].split(b"\0", 2)
                self._prepared[name] = sql.decode(errors="replace")
            case b"B":
                _, name, _ = message[5:].split(b"\0", 2)
                statement = self._prepared.get(name, "")
            case b"Q":
                statement = message[5:-1].decode(errors="replace")
            case _:
                pass
        if statement:
            self._asking.append(statement)
        if message[:1] in (b"Q", b"S"):
            self._end_trip()
        return statement

    def _end_trip(self) -> None:
        self.listens = self.listens or any(sql.startswith("LISTEN") for sql in self._asking)
        self._asked.append(self._asking)
        self._asking = []

    def answer(self, message: bytes) -> bool:
        """The server says this; True when with it the client could know that its transaction has committed.

        Within a transaction that was begun by a word of its own, that is from the answer to COMMIT on.
        """
        match message[:1]:
            case b"K":
                self.process_id = struct.unpack_from("!I", message, 5)[0]
            case b"C" if message[5:].startswith(b"BEGIN"):
                self._begun = True
            case b"C" if message[5:].startswith(b"COMMIT"):
                self._committing = True
            case b"E":
                self._failed = True
            case _:
                pass
        return not self._failed and (self._committing or not self._begun)

    def end_of_trip(self, message: bytes) -> bool:
        """After `answer`: whether the server has committed with this message, which ends a round trip."""
        idle = message[5:6] == b"I"
        committed = idle and not self._failed and bool(self._asked)
        if self._asked:
            self._transaction += self._asked.popleft()
        if idle:
            self._transaction = []
            self._begun = self._committing = self._failed = False
        return committed
