"""The written form of log lines: worker, coordinator, stores and readers all use these few functions.

A line is the JSON array `[time, source, level, text]`, with a fifth element `1` where the text goes on in the next line. A
chunk is a JSON array of such lines. The coordinator joins lines to chunks without decoding them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any, Final, cast

import orjson

from heavyjobs.model import LogLine, Source
from heavyjobs.values import visible

LINE_MAX_CHARS: Final = 16 << 10
"""Longer lines are cut into several, each but the last marked as continued."""

_SOURCES: Final = frozenset(source.value for source in Source)
_TIME_MAX: Final = 253_402_214_400
"""The last day that has a date."""

_UNREADABLE: Final = "this cannot be read: the job has written to its worker's pipe itself"


def encode_lines(time: float, source: Source, level: int | None, text: str, *, goes_on: bool = False) -> list[bytes]:
    """Encode a message as one line per line of its text (at least one), long ones cut, unstorable characters made visible.

    Args:
        goes_on: the last line is not over: what comes next continues it.
    """
    # Not the whole line by orjson: each of its results keeps the 4 KiB it was written in, and a flood is held line by line.
    head = orjson.dumps([time, source, level]).decode()[:-1]
    lines: list[bytes] = []
    for line in text.splitlines() or [""]:
        shown = visible(line)
        if len(shown) > LINE_MAX_CHARS:
            last = whole_pieces_chars(len(shown))
            pieces = (shown[start : start + LINE_MAX_CHARS] for start in range(0, last, LINE_MAX_CHARS))
            lines.extend(f"{head},{encode_basestring(piece)},1]".encode() for piece in pieces)
            shown = shown[last:]
        lines.append(f"{head},{encode_basestring(shown)}]".encode())
    if goes_on:
        lines[-1] = lines[-1][:-1] + b",1]"
    return lines


def whole_pieces_chars(length: int) -> int:
    """How many characters of a line of that length are said in pieces before its last one."""
    return max(0, length - 1) // LINE_MAX_CHARS * LINE_MAX_CHARS


def join_lines(lines: Iterable[bytes]) -> str:
    """The data of a chunk that holds these lines."""
    # Any code in a worker may have written to its pipe: what is not text must not spoil the batch it is stored with.
    return (b"[" + b",".join(lines) + b"]").decode("utf-8", "backslashreplace").replace("\0", "␀")


def decode_chunk(claim: int, first: int, data: str) -> Iterator[LogLine]:
    """Read a chunk's lines, numbered from `first`; what is no line of ours says so in its place."""
    try:
        found: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    for number, line in enumerate(cast("list[object]", found) if isinstance(found, list) else [None], first):
        yield _line(claim, number, line)


def _line(claim: int, number: int, line: Any) -> LogLine:
    try:
        time, source, level, text = line[:4]
        if isinstance(text, str) and (level is None or isinstance(level, int)) and 0 <= time < _TIME_MAX:
            return LogLine(claim, number, time, Source(source), level, text, len(line) > 4)
    except (TypeError, ValueError, KeyError):
        pass
    return LogLine(claim, number, 0.0, Source.HEAVYJOBS, 40, _UNREADABLE)
