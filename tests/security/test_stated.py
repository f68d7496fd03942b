"""The README's section on security says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from heavyjobs.model import DEPTH_MAX
from heavyjobs.settings import Settings
from heavyjobs.units import size_bytes
from heavyjobs.values import CHECKPOINT_MAX_BYTES, PARAMETERS_MAX_BYTES, RESULT_MAX_BYTES, STATUS_MAX_BYTES

README: Final = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECURITY: Final = README.partition("## Security\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("said", "bounds"),
    [
        (r"Parameters and results have (\S+ \w+)", {PARAMETERS_MAX_BYTES, RESULT_MAX_BYTES}),
        (r"checkpoints (\S+ \w+)", {CHECKPOINT_MAX_BYTES}),
        (r"a status (\S+ \w+)", {STATUS_MAX_BYTES}),
    ],
)
def test_the_bounds_of_what_is_stored_are_as_stated(said: str, bounds: set[int]) -> None:
    (stated,) = re.findall(said, SECURITY)

    assert bounds == {size_bytes(stated)}


def test_families_have_as_many_generations_as_stated() -> None:
    assert re.findall(r"families (\d+) generations", SECURITY) == [str(DEPTH_MAX)]


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"`(workers|coordinator)\.(\w+)`", SECURITY))
    sections = {"workers": Settings().workers, "coordinator": Settings().coordinator}

    assert len(named) >= 4
    assert all(hasattr(sections[section], key) for section, key in named)
