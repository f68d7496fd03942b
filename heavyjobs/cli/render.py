"""Text for the terminal: what jobs said made safe, columns, colour, JSON.

Guarantees: whatever a job put into its log, status, result or names, the terminal gets only printable characters, tabs and line
ends, in reading order; colour only where a terminal reads it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click
import orjson
from rich.cells import cell_len

from heavyjobs.masking import without_url_passwords
from heavyjobs.model import JobState

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Colour: TypeAlias = str
"""A name that `click.style` knows."""

COLOURS: Final[Mapping[JobState, Colour]] = {
    JobState.SCHEDULED: "blue",
    JobState.READY: "cyan",
    JobState.RUNNING: "yellow",
    JobState.SUCCEEDED: "green",
    JobState.DEAD: "red",
    JobState.CANCELLED: "magenta",
}

_PAINT: Final = re.compile(r"\x1b\[[0-9;:]*m")
_LOW: Final = r"\x00-\x08\x0a-\x1f"  # control characters but the tab
_HIGH: Final = (
    r"\x7f-\x9f"  # more of them
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they reorder what is shown
    r"\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # they break lines or hide text
    r"\ud800-\udfff"  # they are no characters
)
_UNSAFE: Final = re.compile(f"[{_LOW}{_HIGH}]")
_UNSAFE_IN_JSON: Final = re.compile(f"[{_HIGH}]")


def safe(text: str) -> str:
    """The text as one line that cannot act on a terminal: colours are dropped, all else that acts is shown (`␛`, `\\u202e`).

    Passwords of URLs are not shown either.
    """
    return _UNSAFE.sub(_visible, without_url_passwords(_PAINT.sub("", text)))


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def safe_lines(text: str) -> list[str]:
    """Several lines, each safe."""
    return [safe(line) for line in text.splitlines()]


# -- where it goes


def colourful() -> bool:
    """Whether answers go to a terminal that is to have colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def answer(text: str = "") -> None:
    """Print what was asked for."""
    click.echo(text, color=colourful())


def remark(text: str) -> None:
    """Print what helps, beside the answer."""
    click.echo(without_url_passwords(text), err=True)


def paint(text: str, colour: Colour | None) -> str:
    return click.style(text, fg=colour) if colour and colourful() else text


def paint_state(state: JobState) -> str:
    return paint(state.value, COLOURS[state])


def dim(text: str) -> str:
    return click.style(text, dim=True) if text and colourful() else text


# -- columns


def columns(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> list[str]:
    """Rows as aligned lines, two spaces between columns; cells may be painted."""
    everything = [[dim(name) for name in header], *rows] if header else list(rows)
    widths = [max(map(_width, cells)) for cells in zip(*everything, strict=True)]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    ]


def _width(cell: str) -> int:
    return cell_len(click.unstyle(cell))


# -- times


def clock(when: datetime) -> str:
    """Local time, with the date unless it is today."""
    local = when.astimezone()
    return local.strftime("%H:%M:%S" if local.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S")


def stamp(seconds: float) -> str:
    """The local time of day with the gap after it, as it stands before each line of a story; seconds since 1970."""
    return f"{_time_of_day(int(seconds))}    "


@lru_cache(maxsize=8)
def _time_of_day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


# -- JSON


def to_json(value: object, *, lines: bool = False) -> str:
    """A JSON document, indented unless it is to be one of many lines; safe on a terminal, without passwords of URLs."""
    text = orjson.dumps(value, option=0 if lines else orjson.OPT_INDENT_2).decode()
    # orjson has quoted the low control characters already; the line ends are its own.
    return _UNSAFE_IN_JSON.sub(lambda found: _escaped(found[0]), without_url_passwords(text))


def _escaped(character: str) -> str:
    """`\\uXXXX`, twice where it must be; such characters stand only inside of strings."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def as_dict(record: DataclassInstance, *, embedded: Sequence[str] = ()) -> dict[str, Any]:
    """A record as a dict for `to_json`; the fields in `embedded` hold JSON text, which becomes part of the document."""
    found: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        found[field.name] = orjson.Fragment(value) if field.name in embedded and value is not None else value
    return found
