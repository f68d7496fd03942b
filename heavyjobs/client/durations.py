"""Durations as callers give them, read at the door."""

from __future__ import annotations

from heavyjobs.errors import UsageError
from heavyjobs.units import Duration, seconds


def read_seconds(name: str, value: Duration | None) -> float | None:
    """The argument called `name` in seconds; None stays None.

    Raises:
        UsageError: it is no duration; says what would do.
    """
    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
