"""Whatever goes wrong, and however long: what a coordinator does is right, and what has happened is sound."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.seeds import SECONDS_PER_SEED, half_of, run
from tests.simulation.simulation import Mode


@pytest.mark.timeout(60 + len(half_of()) * SECONDS_PER_SEED)
@pytest.mark.fault("database: a call is applied after it was given up")
@pytest.mark.fault("database: wake-ups are lost, late, or come twice")
@pytest.mark.fault("process: a coordinator's event loop stalls")
@pytest.mark.fault("process: a worker says garbage, or its words come late")
@pytest.mark.fault("time: clocks run up to ten percent too slow or too fast")
def test_nothing_is_lost_and_nothing_done_twice_while_anything_goes_wrong(
    record_property: Callable[[str, object], None],
) -> None:
    totals = run(half_of(), Mode.SAFETY)

    print(totals)  # noqa: T201 - shown by pytest -rP
    record_property("figure: simulated schedules", totals.seeds)
    record_property("figure: simulated faults", totals.faults.total())
    assert not totals.red, "\n\n".join(totals.red[:3])
    assert not totals.never_met, f"kinds of fault that no seed met: {totals.never_met}"
