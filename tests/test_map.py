"""The map is true: it names every room of the house and none that is not there, and draws the moves that the code allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heavyjobs.model import MOVES

HOUSE = Path(__file__).resolve().parent.parent / "heavyjobs"
MAP = (HOUSE / "README.md").read_text("utf-8")
ROOMS = sorted(
    f"{path.name}/" if path.is_dir() else path.name
    for path in HOUSE.iterdir()
    if (path.is_dir() and path.name != "__pycache__") or (path.suffix == ".py" and not path.name.startswith("__"))
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_on_the_map(room: str) -> None:
    assert f"`{room}`" in MAP


def test_every_file_on_the_map_is_in_the_house() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|sql))`", MAP))

    missing = {name for name in named if not list(HOUSE.rglob(name))}

    assert named
    assert not missing


@pytest.mark.parametrize("state", MOVES)
def test_every_state_is_in_the_drawing(state: str) -> None:
    drawing = MAP.partition("## The life of a job")[2].partition("## ")[0]
    assert state in drawing
