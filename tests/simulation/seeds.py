"""Many seeds in one mode: which are red, what was met, and what to print of it.

`HEAVYJOBS_SEEDS` says how many seeds a run of the tests takes in all, half of them in each mode; 200 when it does not.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.faults import Fault
from tests.simulation.simulation import Mode, Report, simulate
from tests.simulation.world import told

SEEDS: Final = int(os.environ.get("HEAVYJOBS_SEEDS", "200"))
SECONDS_PER_SEED: Final = 3.0
"""On a machine that is many times slower than usual."""

_TRACE_LINES: Final = 120


@dataclass(slots=True)
class Totals:
    """What a row of seeds has shown."""

    mode: Mode
    seeds: int = 0
    seconds: float = 0.0
    jobs: int = 0
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    ended: Counter[str] = field(default_factory=Counter[str])
    red: list[str] = field(default_factory=list[str])

    def add(self, report: Report) -> None:
        self.seeds += 1
        self.seconds += report.seconds
        self.jobs += report.jobs
        self.faults += report.faults
        self.ended += report.ended
        if report.broken:
            self.red.append(explained(report))

    @property
    def never_met(self) -> list[Fault]:
        return [fault for fault in Fault if not self.faults[fault]]

    def __str__(self) -> str:
        ended = ", ".join(f"{count:,} {state}" for state, count in sorted(self.ended.items()))
        lines = [f"{self.mode}: {self.seeds:,} seeds, {self.seconds / 3600:,.1f} simulated hours, {self.jobs:,} jobs ({ended})"]
        lines += [f"{self.faults[fault]:>10,}  {fault}" for fault in Fault]
        lines += [f"{self.faults.total():>10,}  faults in all, {len(self.red)} seeds red"]
        return "\n".join(lines)


def half_of(seeds: int = SEEDS) -> range:
    """The seeds of one mode."""
    return range(seeds // 2)


def run(seeds: Iterable[int], mode: Mode) -> Totals:
    totals = Totals(mode)
    for seed in seeds:
        totals.add(simulate(seed, mode))
    return totals


def explained(report: Report) -> str:
    """Why a seed is red, the end of what happened before, and how to see all of it."""
    happened: Sequence[str] = [*told(report.trace)][-_TRACE_LINES:]
    replay = f"python -m tests.simulation {report.seed} --mode {report.mode}"
    return "\n".join([f"seed {report.seed} is red; replay it:  {replay}", *report.broken, "…", *happened])
