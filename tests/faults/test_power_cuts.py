"""The power goes at a thousand moments: what was told as durable is there, nothing is half, and work goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.power.cutting import Cut, cuts, recorded, recording_in
from tests.faults.power.disk import Keeps
from tests.faults.power.recording import FolderSynced, Removed, Synced, Truncated

CUTS = 250


@pytest.mark.fault("storage: the power goes, SQLite")
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_after_a_power_cut_everything_that_was_promised_is_there_and_work_goes_on(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    events = recorded(tmp_path, seed=seed, steps=60)
    assert {Synced, FolderSynced, Removed, Truncated} <= {type(event) for event in events}, "too quiet a recording"

    seen = [cut async for cut in cuts(events, seed=seed, times=CUTS)]

    again = f"python -m tests.faults.power.cutting {recording_in(tmp_path, seed=seed)} {seed} {CUTS}"
    assert [cut for cut in seen if cut.wrong] == [], f"the recording is kept; see it again: {again}"
    assert len(seen) == CUTS
    record_property("figure: power cuts", CUTS)
    assert Counter(cut.keeps for cut in seen).keys() == set(Keeps)
    assert _promised(seen) > 100, "hardly anything was promised, so nothing could be lost"


def _promised(seen: list[Cut]) -> int:
    return max(cut.promised for cut in seen)
