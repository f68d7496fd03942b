"""What will be done and when, all of it drawn from one seed before anything starts. Pure.

Real processes are not deterministic: the same plan meets them at other moments each time. What a seed repeats is what was
tried, not what came of it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from soaking.cast import StoreName
from soaking.orders import Ordered, order
from soaking.sorts import sorts


@dataclass(frozen=True, slots=True)
class Fault:
    """Something bad that is done to `target`: a host, the client's connections, or the database.

    Attributes:
        at: when, by the clock of `soaking.pace`; seconds: how long it lasts.
    """

    number: int
    at: float
    kind: str
    target: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    store: StoreName
    seconds: float
    jobs: tuple[Ordered, ...]
    faults: tuple[Fault, ...]


def make(*, seed: int, store: StoreName, seconds: float, jobs: int, faults: int, outputs: Path) -> Plan:
    """The plan of a seed.

    Args:
        seconds: over which jobs and faults are spread; the first second stays calm.
        outputs: the folder that jobs write to.
    """
    dice = random.Random(f"{seed} {store}")  # noqa: S311 - spreads faults, guards nothing
    return Plan(
        seed=seed,
        store=store,
        seconds=seconds,
        jobs=tuple(order(dice, number, at=seconds * number / jobs, outputs=outputs) for number in range(jobs)),
        faults=tuple(
            _fault(dice, number, at=at, store=store)
            for number, at in enumerate(sorted(dice.uniform(1.0, seconds) for _ in range(faults)))
        ),
    )


def _fault(dice: random.Random, number: int, *, at: float, store: StoreName) -> Fault:
    table = sorts(store)
    kind = dice.choices([*table], [sort.weight for sort in table.values()])[0]
    sort = table[kind]
    return Fault(number, round(at, 3), kind, dice.choice(sort.targets), round(dice.uniform(*sort.seconds), 3))
