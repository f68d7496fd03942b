"""Text lines out of a stream of bytes, as programs write them for terminals."""

from __future__ import annotations

import re
from typing import Final

LINE_MAX_BYTES: Final = 64 << 10
"""A longer line is cut into several."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


class LineCutter:
    """Cuts bytes into lines however they arrive; `\\r` ends a line too, as progress displays use it.

    What is not UTF-8 is shown as `\\xff`; nothing is lost but the line ends.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._after_return = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + data)
        whole = [piece for line in lines for piece in _pieces(line)]
        while len(self._rest) > LINE_MAX_BYTES:
            cut = _boundary(self._rest)
            whole.append(_text(self._rest[:cut]))
            self._rest = self._rest[cut:]
        return whole

    def end(self) -> list[str]:
        """What is left after the last line end."""
        rest, self._rest = self._rest, b""
        return _pieces(rest) if rest else []


def _pieces(line: bytes) -> list[str]:
    pieces: list[str] = []
    while len(line) > LINE_MAX_BYTES:
        cut = _boundary(line)
        pieces.append(_text(line[:cut]))
        line = line[cut:]
    return [*pieces, _text(line)]


def _boundary(line: bytes) -> int:
    """Where to cut a long line without cutting a character."""
    for cut in range(LINE_MAX_BYTES, LINE_MAX_BYTES - 4, -1):
        if line[cut] & 0xC0 != 0x80:
            return cut
    return LINE_MAX_BYTES


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
