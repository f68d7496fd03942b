"""What the limited child prints, taken apart; it may have been taken over by what it read, so nothing of it is believed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from heavyjobs.jobs.foreign.child import FRAME, FRAME_MAX_BYTES


class Unsound(Exception):
    """These are no frames, or not all of them."""


def _decoded(value: object) -> object:
    return base64.b64decode(value, validate=True).decode(errors="surrogateescape") if isinstance(value, str) else value


Name = Annotated[str | None, BeforeValidator(_decoded)]


class Found(BaseModel, frozen=True, extra="forbid"):
    """A member as libarchive has it; `size` is None where it does not know it, `type` and `mode` are those of `stat`."""

    name: Name
    symlink: Name
    hardlink: Name
    type: int
    mode: int
    size: Annotated[int, Field(ge=0)] | None
    mtime_ns: int
    encrypted: bool


class Wrong(BaseModel, frozen=True, extra="forbid"):
    """What libarchive said last; `encrypted`: it has met something that is."""

    errno: int
    text: str
    encrypted: bool


class End(Enum):
    """That was all."""

    FILE = b"E"
    ARCHIVE = b"Z"


Frame: TypeAlias = Found | bytes | Wrong | End


class Frames:
    """Frames out of pieces of any size: a member, bytes of it, what is wrong, or an end.

    Raises:
        Unsound: the pieces end too early, or say what no child of ours would.
        Exception: whatever the iterator of the pieces raises.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces: Final = pieces
        self._rest = memoryview(b"")

    def next(self) -> Frame:
        letter, length = FRAME.unpack(self._take(FRAME.size))
        if length > FRAME_MAX_BYTES:
            raise Unsound
        data = self._take(length)
        if letter == b"D" and data:
            return data
        if letter == b"Z":
            self._end()
        try:
            return _DEFINED[letter](data)
        except (KeyError, ValueError) as error:  # pydantic's are ValueErrors
            raise Unsound from error

    def _end(self) -> None:
        """Make sure that nothing follows, and that the child ends well."""
        if len(self._rest) or any(self._pieces):
            raise Unsound

    def _take(self, amount: int) -> bytes:
        if amount <= len(self._rest):
            taken, self._rest = self._rest[:amount], self._rest[amount:]
            return bytes(taken)
        parts = [self._rest]
        missing = amount - len(self._rest)
        self._rest = memoryview(b"")
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                raise Unsound
            parts.append(memoryview(piece)[:missing])
            self._rest = memoryview(piece)[missing:]
            missing -= len(piece)
        return b"".join(parts)


_DEFINED: Final[Mapping[bytes, Callable[[bytes], Frame]]] = {
    b"M": Found.model_validate_json,
    b"W": Wrong.model_validate_json,
    b"E": lambda _: End.FILE,
    b"Z": lambda _: End.ARCHIVE,
}
