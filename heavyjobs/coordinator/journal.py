"""The coordinator's own log: one structured line per event, for people or as JSON, on standard error."""

from __future__ import annotations

import queue
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TextIO
from uuid import UUID

import orjson
from loguru import logger

from heavyjobs.masking import without_url_passwords
from heavyjobs.model import short_id

if TYPE_CHECKING:
    from loguru import Record

_FACTS: Final = "facts"
_LINES_MAX: Final = 10_000
_LAST_LINES_SECONDS: Final = 1.0


def say(event: str, *, level: str = "INFO", **facts: object) -> None:
    """Log an event with its facts, those that are None left out."""
    logger.bind(**{_FACTS: {name: value for name, value in facts.items() if value is not None}}).log(level, event)


def set_up(form: Literal["human", "json"], level: str) -> None:
    """Send the log to standard error; once, by the daemon."""
    logger.remove()
    logger.add(_Unhurried(sys.stderr), level=level, format=_json if form == "json" else _human, colorize=sys.stderr.isatty())


class _Unhurried:
    """Writes in a thread of its own: who reads the log may stop reading, and ticks must not wait for that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(_LINES_MAX)
        self._dropped = 0
        threading.Thread(target=self._write_on_and_on, name="heavyjobs-journal", daemon=True).start()

    def write(self, message: str) -> None:
        try:
            self._lines.put_nowait(message)
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """Called by loguru at the end: what is there is still written, if somebody reads."""
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write_on_and_on(self) -> None:
        told = 0
        while True:
            line = self._lines.get()
            with suppress(OSError, ValueError):
                self._stream.write(line)
                if (dropped := self._dropped) > told:
                    self._stream.write(f"… {dropped - told} lines of this log were dropped: nobody read it in time\n")
                    told = dropped
                self._stream.flush()
            self._lines.task_done()


def _human(record: Record) -> str:
    facts: dict[str, object] = record["extra"].get(_FACTS, {})
    record["extra"]["shown"] = "".join(f"   {name} {_shown(value)}" for name, value in facts.items())
    return "<dim>{time:HH:mm:ss.SSS}</dim> <level>{message}</level>{extra[shown]}\n{exception}"


def _json(record: Record) -> str:
    facts: dict[str, object] = record["extra"].get(_FACTS, {})
    line = {"time": record["time"].isoformat(), "level": record["level"].name, "event": record["message"], **facts}
    record["extra"]["shown"] = without_url_passwords(orjson.dumps(line, default=str).decode())
    return "{extra[shown]}\n{exception}"


def _shown(value: object) -> str:
    if isinstance(value, UUID):
        return short_id(value)
    # What a job says may steer the operator's terminal, or look like another line of this log.
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in without_url_passwords(str(value))
    )
