"""The written form of log lines: worker, coordinator, stores and readers all use these few functions.

A line is the JSON array `[time, source, level, text]`, with a fifth element `1` where the text goes on in the next line. A
chunk is a JSON array of such lines. The coordinator joins lines to chunks without decoding them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any, Final

import orjson

from heavyjobs.model import LogLine, Source
from heavyjobs.values import visible

LINE_MAX_CHARS: Final = 16 << 10
"""Longer lines are cut into several, each but the last marked as continued."""


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
        last = whole_pieces_chars(len(shown))
        pieces = (shown[start : start + LINE_MAX_CHARS] for start in range(0, last, LINE_MAX_CHARS))
        lines.extend(f"{head},{encode_basestring(piece)},1]".encode() for piece in pieces)
        lines.append(f"{head},{encode_basestring(shown[last:])}]".encode())
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
    """Read a chunk's lines, numbered from `first`."""
    try:
        lines: list[list[Any]] = orjson.loads(data)
    except orjson.JSONDecodeError:
        lines = [[0.0, Source.HEAVYJOBS, 40, "these lines cannot be read: the job has written to its worker's pipe itself"]]
    for number, line in enumerate(lines, first):
        yield LogLine(claim, number, line[0], Source(line[1]), line[2], line[3], len(line) > 4)
