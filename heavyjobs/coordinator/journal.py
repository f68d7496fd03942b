"""The coordinator's own log: one structured line per event, for people or as JSON, on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

import orjson
from loguru import logger

from heavyjobs.model import short_id

if TYPE_CHECKING:
    from loguru import Message, Record

_FACTS: Final = "facts"


def say(event: str, *, level: str = "INFO", **facts: object) -> None:
    """Log an event with its facts, those that are None left out."""
    logger.bind(**{_FACTS: {name: value for name, value in facts.items() if value is not None}}).log(level, event)


def set_up(form: Literal["human", "json"], level: str) -> None:
    """Send the log to standard error; once, by the daemon."""
    logger.remove()
    if form == "json":
        logger.add(_write_json, level=level, format="{message}")
    else:
        logger.add(sys.stderr, level=level, format=_human, colorize=None)


def _human(record: Record) -> str:
    facts: dict[str, object] = record["extra"].get(_FACTS, {})
    record["extra"]["shown"] = "   ".join(f"{name} {_shown(value)}" for name, value in facts.items())
    return "<dim>{time:HH:mm:ss.SSS}</dim> <level>{message}</level>   {extra[shown]}\n{exception}"


def _write_json(message: Message) -> None:
    record = message.record
    facts: dict[str, object] = record["extra"].get(_FACTS, {})
    line = {"time": record["time"].isoformat(), "level": record["level"].name, "event": record["message"], **facts}
    sys.stderr.write(orjson.dumps(line, default=str).decode() + "\n")
    sys.stderr.flush()


def _shown(value: object) -> str:
    return short_id(value) if isinstance(value, UUID) else str(value)
