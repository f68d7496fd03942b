"""Durations and sizes as a configuration has them: exact, and read back as the same value."""

from __future__ import annotations

from typing import Final

_SECONDS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_BYTES: Final = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def written_seconds(value: float) -> str:
    """`15s`, `1h 30m`, `250ms`."""
    if value != round(value):
        return f"{value:.12g}s" if value >= 1 else f"{value * 1000:.12g}ms"
    parts: list[str] = []
    left = round(value)
    for unit, size in _SECONDS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def written_bytes(value: int) -> str:
    """`64MiB`; in the largest unit of which it is a whole number."""
    for unit, size in _BYTES:
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value}B"
