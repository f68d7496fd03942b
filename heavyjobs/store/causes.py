"""A cause as every store keeps it: JSON, in which a newer release may add fields that this one passes over."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from heavyjobs.model import Cause, Ending
from heavyjobs.values import decode, visible


def cause_text(cause: Cause | None) -> str | None:
    """A cause as it is stored; what cannot be stored in it is made visible."""
    if cause is None:
        return None
    shown = {name: visible(value) if isinstance(value, str) else value for name, value in asdict(cause).items()}
    return orjson.dumps(shown).decode()


def cause_of(text: str | None) -> Cause | None:
    """A stored cause."""
    if text is None:
        return None
    found = decode(text)
    return Cause(
        Ending(found["ending"]),
        found["message"],
        found.get("type"),
        found.get("traceback"),
        found.get("exit_code"),
        found.get("signal"),
    )
