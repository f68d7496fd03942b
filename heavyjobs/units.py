"""Durations, sizes and amounts, read from people and shown to people."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias

Duration: TypeAlias = str | float | timedelta
"""Seconds as a number, a `timedelta`, or text such as `"30s"`, `"1h 30m"`, `"250ms"`."""

Size: TypeAlias = str | int
"""Bytes as a number, or text such as `"2GiB"`, `"500 MB"`."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_DURATION_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)")
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*")


def seconds(value: Duration) -> float:
    """Read a duration as seconds, 0 or more.

    Raises:
        ValueError: saying what would do.
    """
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, str):
        number = _seconds_of_text(value)
    else:
        number = _number(value)
    if not 0 <= number < 1e10:
        raise ValueError(f"{value!r} is not a duration of 0 seconds or more")
    return number


def _number(value: object) -> float:
    """A number as it is, and anything else as NaN, which lies in no range."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _seconds_of_text(text: str) -> float:
    total, position, lowered = 0.0, 0, text.lower().rstrip()
    while position < len(lowered) and (part := _DURATION_PART.match(lowered, position)):
        if part[2] not in _SECONDS:
            break
        total += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if position == 0 or position < len(lowered):
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 5m, 1h 30m or 250ms")
    return total


def size_bytes(value: Size) -> int:
    """Read a size as bytes, 0 or more.

    Raises:
        ValueError: saying what would do.
    """
    number = _bytes_of_text(value) if isinstance(value, str) else _number(value)
    if not 0 <= number < 2**63:
        raise ValueError(f"{value!r} is not a size of 0 bytes or more")
    return int(number)


def _bytes_of_text(text: str) -> float:
    found = _SIZE.fullmatch(text.lower())
    unit = (found[2] or "b") if found else None
    if found is None or unit not in _BYTES:
        raise ValueError(f"{text!r} is not a size; write it like 500MB, 2GiB or 4096")
    return float(found[1]) * _BYTES[unit]


def show_seconds(value: float) -> str:
    """Show a duration to people: `840 ms`, `12.4 s`, `9 min 29 s`, `2 h 04 min`, `3 d 02 h`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"


def show_bytes(value: float) -> str:
    """Show an amount of bytes to people: `812 B`, `23.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
