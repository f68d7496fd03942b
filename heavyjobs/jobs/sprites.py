"""Which times of a film a sheet of small pictures shows, and the WebVTT file that tells players where each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

TILES_MAX: Final = 2000
COLUMNS: Final = 10
SHEET_TILES: Final = COLUMNS * 10
"""Some phones show no picture of more than 16 million pixels; a hundred of 640 × 360 already have 23."""


class Tile(NamedTuple):
    """One small picture: it stands for the time from `start` to `end`, and shows the middle of it. In seconds."""

    start: float
    end: float

    @property
    def shown(self) -> float:
        return (self.start + self.end) / 2


class Spot(NamedTuple):
    """Where a tile is: which sheet, and its rectangle there, in pixels."""

    sheet: int
    x: int
    y: int


def usual_interval(seconds: float) -> float:
    """About a hundred pictures, but not more than one a second."""
    return max(seconds / SHEET_TILES, 1.0)


def tiles(seconds: float, *, every: float) -> list[Tile]:
    """Cut a film into intervals; a rest that is too short to be seen goes to the last one."""
    count = max(int(seconds / every + 0.5), 1)
    starts = [number * every for number in range(count)]
    return [Tile(start, end) for start, end in zip(starts, [*starts[1:], seconds], strict=True)]


def spot(number: int, *, width: int, height: int) -> Spot:
    """Where the tile of that number is, on full sheets of `COLUMNS` columns."""
    sheet, place = divmod(number, SHEET_TILES)
    row, column = divmod(place, COLUMNS)
    return Spot(sheet, column * width, row * height)


def web_vtt(shown: Sequence[Tile], *, sheets: Sequence[str], width: int, height: int) -> str:
    """Cues as players expect them for previews: a file's name, and a rectangle in it as a media fragment."""
    cues: list[str] = []
    for number, tile in enumerate(shown):
        at = spot(number, width=width, height=height)
        times = f"{_clock(tile.start)} --> {_clock(tile.end)}"
        cues.append(f"{times}\n{sheets[at.sheet]}#xywh={at.x},{at.y},{width},{height}\n")
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
