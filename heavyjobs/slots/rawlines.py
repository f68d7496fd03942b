"""Cut the raw output of processes into log lines: any bytes, with or without ends of lines."""

from __future__ import annotations

import time
from typing import Final

from heavyjobs.logs import encode_lines
from heavyjobs.model import Source

_PARTIAL_MAX_BYTES: Final = 16 << 10


class RawLines:
    """One stream. What is not UTF-8 is shown as `\\xff`; a carriage return ends a line, as progress bars use it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The encoded lines that are whole now; a line that goes on too long is given in pieces."""
        self._partial += data
        lines = self._take(max(self._partial.rfind(b"\n"), self._partial.rfind(b"\r")) + 1)
        if len(self._partial) > _PARTIAL_MAX_BYTES:
            lines += self._take(_before_a_character(self._partial), goes_on=True)
        return lines

    def flush(self) -> list[bytes]:
        """What is left, as a line."""
        return self._take(len(self._partial))

    def _take(self, length: int, *, goes_on: bool = False) -> list[bytes]:
        if not length:
            return []
        text = self._partial[:length].decode("utf-8", "backslashreplace")
        del self._partial[:length]
        return encode_lines(time.time(), self._source, None, text, goes_on=goes_on)


def _before_a_character(data: bytearray) -> int:
    """Where to cut so that no character of UTF-8 is cut in two: at its last first byte, when that is near the end."""
    for length in range(1, 4):
        if data[-length] >= 0xC0:
            return len(data) - length
        if data[-length] < 0x80:
            break
    return len(data)
