"""Hold an invocation's log lines until the next write, number them, and keep within the bound."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from heavyjobs.logs import encode_lines, join_lines
from heavyjobs.model import ClaimKey, Source
from heavyjobs.store.records import LOG_CHUNK_MAX_BYTES, LogChunk

TAIL_LINES: Final = 200
"""Of what the bound leaves out, this many last lines are kept all the same: the end is what people look for."""


class LogBuffer:
    """One invocation's lines.

    Args:
        bound_bytes: kept of this log, the tail aside; 0 keeps all.
    """

    def __init__(self, claim: ClaimKey, *, bound_bytes: int) -> None:
        self.pending_bytes = 0
        self.dropped_lines = 0
        self._claim = claim
        self._bound_bytes = bound_bytes
        self._kept_bytes = 0
        self._lines: list[bytes] = []
        self._next = 0
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)

    def add(self, line: bytes) -> None:
        """Take an encoded line."""
        if self.dropped_lines or (self._bound_bytes and self._kept_bytes + len(line) > self._bound_bytes):
            if not self.dropped_lines:
                self.remark(f"the log has reached its bound of {self._bound_bytes} bytes; what follows is counted, not kept")
            self.dropped_lines += 1
            self._tail.append(line)
        else:
            self._keep(line)

    def remark(self, text: str, *, level: int = 30) -> None:
        """Say something of our own; always kept."""
        for line in encode_lines(time.time(), Source.HEAVYJOBS, level, text):
            self._keep(line)

    def close(self) -> None:
        """Nothing more comes: show the end of what was left out, and how much is missing before it."""
        if self.dropped_lines:
            self.dropped_lines -= len(self._tail)
            self.remark(f"{self.dropped_lines} lines were left out here")
            for line in self._tail:
                self._keep(line)
            self._tail.clear()

    def take(self) -> list[LogChunk]:
        """All that is pending, as chunks; each is given once."""
        lines, self._lines, self.pending_bytes = self._lines, [], 0
        chunks: list[LogChunk] = []
        batch: list[bytes] = []
        size = 0
        for line in lines:
            if batch and size + len(line) + 1 > LOG_CHUNK_MAX_BYTES:
                chunks.append(self._chunk(batch))
                batch, size = [], 0
            batch.append(line)
            size += len(line) + 1
        if batch:
            chunks.append(self._chunk(batch))
        return chunks

    def _chunk(self, lines: list[bytes]) -> LogChunk:
        chunk = LogChunk(claim=self._claim, first=self._next, lines=len(lines), data=join_lines(lines))
        self._next += len(lines)
        return chunk

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        self._kept_bytes += len(line)
        self.pending_bytes += len(line)
