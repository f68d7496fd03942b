"""Tables of Markdown, as docstrings have them, made fit for a terminal: aligned, wrapped, no wider than it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from heavyjobs.cli.render import columns

COLUMN_MIN: Final = 8
"""Characters; a column is not made narrower, even where the table is too wide then."""

_GAP: Final = 2
_ROW: Final = re.compile(r"\s*\|.*\|\s*")
_RULE: Final = re.compile(r"\s*\|(\s*:?-+:?\s*\|)+\s*")


def is_table(paragraph: str) -> bool:
    """Whether a paragraph is nothing but rows, at least one of them with words."""
    lines = paragraph.splitlines()
    return all(_ROW.fullmatch(line) for line in lines) and not all(_RULE.fullmatch(line) for line in lines)


def table_lines(paragraph: str, *, width: int) -> list[str]:
    """The lines of a table, for a terminal of that width: cells that are too long are wrapped within their column."""
    rows = [_cells(line) for line in paragraph.splitlines() if not _RULE.fullmatch(line)]
    count = max(map(len, rows))
    rows = [[*row, *[""] * (count - len(row))] for row in rows]
    natural = [max(1, *(len(row[number]) for row in rows)) for number in range(count)]
    widths = _fitted(natural, width - _GAP * (count - 1))
    first, *others = ([*_wrapped(row, widths)] for row in rows)
    return columns([*first, ["-" * width for width in widths], *(line for lines in others for line in lines)])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """The widths, the widest made narrower until all fit."""
    fitted = list(widths)
    while sum(fitted) > room and max(fitted) > COLUMN_MIN:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> Iterator[list[str]]:
    """The lines that a row becomes, each with all its cells."""
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells))):
        yield [cell[number] if number < len(cell) else "" for cell in cells]
