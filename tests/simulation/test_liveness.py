"""Once nothing goes wrong any more, everything ends: each job, each wait, each cancel, and what a lost host held, in time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.seeds import SECONDS_PER_SEED, half_of, run
from tests.simulation.simulation import Mode

pytestmark = pytest.mark.long


@pytest.mark.timeout(60 + len(half_of()) * SECONDS_PER_SEED)
def test_everything_ends_in_time_once_nothing_goes_wrong_any_more(
    record_property: Callable[[str, object], None],
) -> None:
    totals = run(half_of(), Mode.LIVENESS)

    print(totals)  # noqa: T201 - shown by pytest -rP
    record_property("figure: simulated schedules", totals.seeds)
    record_property("figure: simulated faults", totals.faults.total())
    assert not totals.red, "\n\n".join(totals.red[:3])
    assert not totals.never_met, f"kinds of fault that no seed met: {totals.never_met}"
