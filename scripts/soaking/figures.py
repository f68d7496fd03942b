"""What came of a soak, in figures: for a table, and for programs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from soaking.cast import FORFEIT_SECONDS, LEASE_SECONDS

console = Console(highlight=False)
if not console.is_terminal:
    console.width = max(console.width, 128)


@dataclass(slots=True, kw_only=True)
class Figures:
    """Of one store.

    Attributes:
        jobs: accepted and spawned; invocations: of all of them.
        recovery_seconds: from the kill of a coordinator while nothing else happened, until what it had run ran elsewhere.
        storm_recovery_seconds: the same in the storm, where the others were stopped, cut off or killed too.
        outage_seconds: the longest time in which no invocation began while jobs were waiting.
        settled_seconds: from the last fault until all jobs had ended.
        growth_bytes, growth_descriptors: of the coordinator that was never ended, from before to after.
    """

    store: str
    seed: int
    seconds: float = 0.0
    jobs: int = 0
    accepted: int = 0
    invocations: int = 0
    lines: int = 0
    endings: dict[str, int] = field(default_factory=dict[str, int])
    faults: dict[str, int] = field(default_factory=dict[str, int])
    faults_missed: int = 0
    application: dict[str, int] = field(default_factory=dict[str, int])
    findings: dict[str, int] = field(default_factory=dict[str, int])
    orphans: int = 0
    deaths: int = 0
    outlived_seconds: float = 0.0
    outage_seconds: float = 0.0
    settled_seconds: float = 0.0
    recovery_seconds: list[float] = field(default_factory=list[float])
    storm_recovery_seconds: list[float] = field(default_factory=list[float])
    resident_bytes: int = 0
    growth_bytes: int = 0
    growth_descriptors: int = 0

    @property
    def injected(self) -> int:
        return sum(self.faults.values())

    @property
    def lost(self) -> int:
        """Jobs that were accepted and are not there, or have not ended."""
        return self.findings.get("accepted", 0) + self.findings.get("settled", 0)

    @property
    def doubled(self) -> int:
        """Jobs that ended twice, or were claimed twice."""
        return sum(self.findings.get(check, 0) for check in ("endings", "claims", "open", "attempts", "order"))

    @property
    def overlapping(self) -> int:
        return self.findings.get("overlap", 0)

    @property
    def good(self) -> bool:
        return not self.findings

    def plain(self) -> Mapping[str, object]:
        """For programs."""
        derived = {name: getattr(self, name) for name in ("injected", "lost", "doubled", "overlapping", "good")}
        return {**dataclasses.asdict(self), **derived, **self._spreads()}

    def _spreads(self) -> Mapping[str, float | None]:
        return {
            "recovery_p50_seconds": percentile(self.recovery_seconds, 0.5),
            "recovery_p99_seconds": percentile(self.recovery_seconds, 0.99),
            "storm_recovery_p50_seconds": percentile(self.storm_recovery_seconds, 0.5),
            "storm_recovery_p99_seconds": percentile(self.storm_recovery_seconds, 0.99),
        }


def percentile(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def show(all_of_them: Sequence[Figures]) -> None:
    """Print a column per store."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for figures in all_of_them:
        table.add_column({"sqlite": "SQLite", "postgres": "PostgreSQL"}[figures.store], justify="right")
    for name, cells in _rows(all_of_them):
        table.add_row(name, *cells)
    console.print(table)
    kinds = sum((Counter(figures.faults) for figures in all_of_them), Counter[str]())
    console.print(f"\nfaults by kind, {kinds.total():,} in all")
    for kind, count in kinds.most_common():
        console.print(f"  {count:>5,}  {kind}")
    console.print()


def _rows(columns: Sequence[Figures]) -> Sequence[tuple[str, Sequence[str]]]:
    return [
        ("jobs", [f"{one.jobs:,}" for one in columns]),
        ("invocations", [f"{one.invocations:,}" for one in columns]),
        ("log lines", [f"{one.lines:,}" for one in columns]),
        ("faults injected", [f"{one.injected:,}" for one in columns]),
        ("ends of a coordinator", [f"{one.deaths:,}" for one in columns]),
        ("lost", [f"{one.lost:,}" for one in columns]),
        ("doubled", [f"{one.doubled:,}" for one in columns]),
        ("overlapping", [f"{one.overlapping:,}" for one in columns]),
        ("orphans", [f"{one.orphans:,}" for one in columns]),
        ("findings of any kind", [f"{sum(one.findings.values()):,}" for one in columns]),
        (f"recovery of a killed host (forfeit after {FORFEIT_SECONDS} s)", [_spread(one.recovery_seconds) for one in columns]),
        ("recovery in the storm", [_spread(one.storm_recovery_seconds) for one in columns]),
        (f"longest outage (lease {LEASE_SECONDS} s)", [f"{one.outage_seconds:.1f} s" for one in columns]),
        ("all had ended, after the last fault", [f"{one.settled_seconds:.1f} s" for one in columns]),
        ("growth of a coordinator's memory", [_growth(one) for one in columns]),
        ("growth of its descriptors", [f"{one.growth_descriptors:+d}" for one in columns]),
        ("took", [f"{one.seconds:.0f} s" for one in columns]),
    ]


def _spread(values: Sequence[float]) -> str:
    middle, most = percentile(values, 0.5), percentile(values, 0.99)
    return "–" if middle is None or most is None else f"p50 {middle:.1f} s, p99 {most:.1f} s ({len(values)})"


def _growth(figures: Figures) -> str:
    return f"{figures.growth_bytes / 2**20:+.0f} MiB on {(figures.resident_bytes - figures.growth_bytes) / 2**20:.0f}"
