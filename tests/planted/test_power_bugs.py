"""Stores that promise more than they keep: the machine that cuts the power must find each of them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.power.cutting import Cut, cuts, recorded

CUTS_MAX = 200


async def _first_found(folder: Path, bug: str, *, words: str) -> Cut | None:
    """The first cut after which the machine says so."""
    async for cut in cuts(recorded(folder, seed=1, steps=40, bug=bug), seed=1, times=CUTS_MAX):
        if any(words in problem for problem in cut.wrong):
            return cut
    return None


@pytest.mark.planted("acknowledged before it was durable")
@pytest.mark.parametrize("bug", ["never durable", "never synced"])
async def test_a_store_that_acknowledges_before_it_is_durable_is_found_out(tmp_path: Path, bug: str) -> None:
    assert await _first_found(tmp_path, bug, words="told before the cut, and lost: submitted") is not None


@pytest.mark.planted("log begun anew before the database was durable")
async def test_a_store_that_begins_its_log_anew_before_the_database_is_durable_is_found_out(tmp_path: Path) -> None:
    assert await _first_found(tmp_path, "log emptied in haste", words="lost") is not None
