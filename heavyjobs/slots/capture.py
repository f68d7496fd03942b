"""Send everything that a job says through Python to its log: `logging`, loguru, print and whatever else writes to sys.stdout.

What bypasses Python (C code, child programs, a crash's last words) goes to file descriptors 1 and 2, which the coordinator
reads itself. Each line keeps its source and level; print and logging share one channel, so their order is kept.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from typing_extensions import override

from heavyjobs.logs import LINE_MAX_CHARS, encode_lines
from heavyjobs.model import Source

if TYPE_CHECKING:
    from loguru import Message

Sink: TypeAlias = Callable[[bytes], None]
"""Takes one encoded line."""


def capture(sink: Sink) -> None:
    """Route this process's logging, loguru, stdout and stderr to `sink`. Once per worker."""
    from loguru import logger

    sys.stdout = LineStream(sink, Source.STDOUT)
    sys.stderr = LineStream(sink, Source.STDERR)
    logging.root.handlers[:] = [SinkHandler(sink)]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    logger.remove()
    logger.add(_loguru_sink(sink), format="{message}", level=0, catch=False)


def flush() -> None:
    """Send what was printed without an end of line."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


class LineStream(io.TextIOBase):
    """A text stream whose lines go to the log; its `fileno` is the real descriptor, for child programs."""

    def __init__(self, sink: Sink, source: Source) -> None:
        super().__init__()
        self._sink = sink
        self._source = source
        self._partial = ""
        self._descriptor: Final = 1 if source is Source.STDOUT else 2

    @property
    @override
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in typeshed
        return "utf-8"

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def write(self, text: str, /) -> int:
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self._say(self._partial + whole)
            self._partial = rest
        else:
            self._partial += rest
        if len(self._partial) > LINE_MAX_CHARS:
            self.flush()
        return len(text)

    @override
    def flush(self) -> None:
        if self._partial:
            partial, self._partial = self._partial, ""
            self._say(partial)

    def _say(self, text: str) -> None:
        for line in encode_lines(time.time(), self._source, None, text):
            self._sink(line)


class SinkHandler(logging.Handler):
    """Sends records of the standard `logging`."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - user code: a bad format string is the job's slip, not its end
            text = f"{record.msg!s} (cannot be formatted: {error})"
        for line in encode_lines(record.created, Source.LOGGING, record.levelno, text):
            self._sink(line)


def _loguru_sink(sink: Sink) -> Callable[[Message], None]:
    def send(message: Message) -> None:
        record: Any = message.record
        for line in encode_lines(record["time"].timestamp(), Source.LOGURU, record["level"].no, str(message).rstrip("\n")):
            sink(line)

    return send
