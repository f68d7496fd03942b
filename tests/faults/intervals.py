"""When the invocations of jobs lived, by their own word, on the clock of the boot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Interval:
    """One invocation, from its first word to its last, in seconds."""

    claim: int
    first: float
    last: float


def intervals(witness: Path) -> Mapping[str, Sequence[Interval]]:
    """The invocations of each job, in the order of their claims; of lines `job claim pid seconds`."""
    lived: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for line in witness.read_text().splitlines() if witness.exists() else ():
        job, claim, _, seconds = line.split()
        lived[job, int(claim)].append(float(seconds))
    found: defaultdict[str, list[Interval]] = defaultdict(list)
    for (job, number), moments in sorted(lived.items()):
        found[job].append(Interval(number, min(moments), max(moments)))
    return found


def overlaps(witness: Path) -> list[tuple[str, Interval, Interval]]:
    """Invocations of one job of which the later began before the earlier had fallen silent."""
    return [
        (job, earlier, later)
        for job, lived in intervals(witness).items()
        for earlier, later in pairwise(lived)
        if later.first <= earlier.last
    ]
