"""Send everything that a job says through Python to its log: `logging`, loguru, print and whatever else writes to sys.stdout.

What bypasses Python (C code, child programs, a crash's last words) goes to file descriptors 1 and 2, which the coordinator
reads itself. Each line keeps its source and level; print and logging share one channel, so their order is kept.
"""

from __future__ import annotations

import ctypes
import io
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

from typing_extensions import override

from heavyjobs.logs import encode_lines, whole_pieces_chars
from heavyjobs.model import Source

if TYPE_CHECKING:
    from loguru import Message

_LIBC: Final = ctypes.CDLL(None)

Sink: TypeAlias = Callable[[bytes], None]
"""Takes one encoded line."""


class Capture:
    """Routes this process's logging, loguru, stdout and stderr to `sink`. One for each worker."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._streams = (LineStream(sink, Source.STDOUT), LineStream(sink, Source.STDERR))
        self._handler = SinkHandler(sink)
        self._loguru_id: int | None = None
        logging.captureWarnings(capture=True)
        self.restore()

    def restore(self) -> None:
        """Begin, or put back what a job has changed of it: the next one may count on its log."""
        from loguru import logger

        sys.stdout, sys.stderr = self._streams
        if logging.root.handlers != [self._handler] or logging.root.level != logging.INFO:
            logging.root.handlers[:] = [self._handler]
            logging.root.setLevel(logging.INFO)
        logging.disable(logging.NOTSET)
        if [*getattr(logger, "_core").handlers] != [self._loguru_id]:  # noqa: B009 - private; adding a handler takes 3 ms
            logger.remove()
            self._loguru_id = logger.add(_loguru_sink(self._sink), format="{message}", level=0, catch=False)

    def flush(self) -> None:
        """Send what was said without an end of line, or lies in a buffer of Python's or C's."""
        for stream in (sys.stdout, sys.stderr, *self._streams, sys.__stdout__, sys.__stderr__):
            with suppress(OSError, ValueError, AttributeError):  # the job may have closed or replaced it
                stream.flush()  # type: ignore[union-attr]
        _LIBC.fflush(None)

    def release(self) -> None:
        """In a fork, which must not speak for its parent: all goes to descriptors 1 and 2, where nobody's lines are spoilt."""
        from loguru import logger

        sys.stdout, sys.stderr = (_text_to(descriptor) for descriptor in (1, 2))
        logging.root.handlers[:] = [logging.StreamHandler(sys.stderr)]
        logger.remove()
        logger.add(sys.stderr, format="{message}", level=0)


class LineStream(io.TextIOBase):
    """A text stream whose lines go to the log; its `fileno` is the real descriptor, for child programs."""

    def __init__(self, sink: Sink, source: Source) -> None:
        super().__init__()
        self._sink = sink
        self._source = source
        self._partial = ""
        self._descriptor: Final = 1 if source is Source.STDOUT else 2
        self.buffer: Final = io.BufferedWriter(io.FileIO(self._descriptor, "wb", closefd=False))

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
        # Taken before it is said: a request to stop is raised at the end of saying, and it must not be said twice.
        before, self._partial = self._partial, rest if newline else self._partial + rest
        if newline:
            self._say(before + whole)
        if pieces := whole_pieces_chars(len(self._partial)):
            said, self._partial = self._partial[:pieces], self._partial[pieces:]
            self._say(said, goes_on=True)
        return len(text)

    @override
    def flush(self) -> None:
        self.buffer.flush()
        if self._partial:
            partial, self._partial = self._partial, ""
            self._say(partial)

    def _say(self, text: str, *, goes_on: bool = False) -> None:
        for line in encode_lines(time.time(), self._source, None, text, goes_on=goes_on):
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


def _text_to(descriptor: int) -> TextIO:
    return io.TextIOWrapper(io.FileIO(descriptor, "wb", closefd=False), errors="backslashreplace", line_buffering=True)


def _loguru_sink(sink: Sink) -> Callable[[Message], None]:
    def send(message: Message) -> None:
        record: Any = message.record
        for line in encode_lines(record["time"].timestamp(), Source.LOGURU, record["level"].no, str(message).rstrip("\n")):
            sink(line)

    return send
