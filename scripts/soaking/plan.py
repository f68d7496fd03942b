"""What will be done and when, all of it drawn from one seed before anything starts. Pure.

Real processes are not deterministic: the same plan meets them at other moments each time. What a seed repeats is what was
tried, not what came of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, TypeAlias

from soaking.jobs import (
    WAYS,
    AsyncFamily,
    Breaks,
    Family,
    Film,
    Greedy,
    LaneBlock,
    LanePoison,
    Poison,
    Quick,
    Refuses,
    Soaked,
    Steps,
    Stubborn,
    Waits,
    Way,
    Writes,
)

StoreName: TypeAlias = Literal["sqlite", "postgres"]

HOSTS: Final = ("alder", "birch", "cedar")
STEADY: Final = "cedar"
"""Never killed or drained, so that its memory and descriptors can be watched; all else happens to it too."""

CLIENT: Final = "client"
DATABASE: Final = "database"

TICK_SECONDS: Final = 0.4
LEASE_SECONDS: Final = 2.5
KILL_SECONDS: Final = 1.0
FORFEIT_SECONDS: Final = 4.5
DRAIN_SECONDS: Final = 1.0


class How(StrEnum):
    """How a job is submitted."""

    ALONE = "alone"
    MANY = "many"  # with the next ones, in one round trip
    WITHIN = "within"  # the caller's own transaction, which commits
    ROLLED_BACK = "rolled back"  # the caller's own transaction, which does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A job to submit, and what is done to it afterwards.

    Attributes:
        at: when, by the clock of `soaking.pace`; `cancel_after`: seconds since it was accepted.
        retries: how often it is sent again after it ended without a result.
        audited: its log is read at the moment its end is seen.
    """

    at: float
    job: Soaked
    how: How
    delay: float = 0.0
    unique: str | None = None
    cancel_after: float | None = None
    cancel_waits: bool = False
    retries: int = 0
    audited: bool = False


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
        jobs=tuple(_order(dice, number, at=seconds * number / jobs, outputs=outputs) for number in range(jobs)),
        faults=tuple(
            _fault(dice, number, at=at, store=store)
            for number, at in enumerate(sorted(dice.uniform(1.0, seconds) for _ in range(faults)))
        ),
    )


# -- jobs


def _order(dice: random.Random, number: int, *, at: float, outputs: Path) -> Ordered:
    job = _job(dice, number, outputs)
    unique = f"key {dice.randrange(5)}" if isinstance(job, Quick) and dice.random() < 0.06 else None
    cancelled = dice.random() < (0.4 if isinstance(job, Stubborn | Film | Family | AsyncFamily) else 0.05)
    how = How.ALONE if unique else dice.choices([*How], [60, 30, 6, 4])[0]
    return Ordered(
        at=at,
        job=job,
        how=how,
        unique=unique,
        delay=round(dice.uniform(0.1, 2.0), 3) if dice.random() < 0.05 else 0.0,
        cancel_after=dice.choice([0.0, dice.uniform(0, 0.3), dice.uniform(0, 2)]) if cancelled else None,
        cancel_waits=dice.random() < 0.5,
        retries=dice.choice([1, 1, 2]) if dice.random() < 0.3 else 0,
        audited=dice.random() < 0.25,
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    """What the dice gave for one job, for its kind to take from."""

    number: int
    lines: int
    short: float
    long: float
    good_from: int
    way: Way
    few: int
    coin: bool
    outputs: Path

    @property
    def some_lines(self) -> int:
        return self.lines % 50


_KINDS: Final[Sequence[tuple[int, Callable[[_Draw], Soaked]]]] = (
    (140, lambda it: Quick(number=it.number, lines=it.lines)),
    (200, lambda it: Quick(number=it.number, lines=it.lines, seconds=it.short, raw=it.coin)),
    (90, lambda it: Quick(number=it.number, lines=it.lines, seconds=it.long)),
    (180, lambda it: Waits(number=it.number, lines=it.lines, seconds=it.long)),
    (60, lambda it: Steps(number=it.number, lines=it.some_lines, seconds=it.short, steps=4 * it.few)),
    (25, lambda it: Refuses(number=it.number, lines=it.some_lines, good_from=None)),
    (35, lambda it: Refuses(number=it.number, lines=it.some_lines, good_from=it.good_from)),
    (80, lambda it: Breaks(number=it.number, lines=it.some_lines, seconds=it.short, way=it.way, good_from=it.good_from)),
    (20, lambda it: Poison(number=it.number, lines=it.some_lines, way=it.way)),
    (24, lambda it: Stubborn(number=it.number, spins=it.coin)),
    (40, lambda it: Film(number=it.number, lines=it.some_lines, seconds=it.long)),
    (25, lambda it: Writes(number=it.number, seconds=it.short, target=it.outputs / f"{it.number}.txt")),
    (25, lambda it: Writes(number=it.number, seconds=it.long, target=it.outputs / f"{it.number}.txt")),
    (20, lambda it: Family(number=it.number, lines=it.some_lines, seconds=it.short, width=it.few, levels=1 + it.coin)),
    (20, lambda it: AsyncFamily(number=it.number, seconds=it.short, width=it.few, levels=1 + it.coin)),
    (8, lambda it: Greedy(number=it.number, in_child=it.coin)),
    (6, lambda it: LanePoison(number=it.number, seconds=it.short)),
    (2, lambda it: LaneBlock(number=it.number)),
)
"""How many of a thousand, and how one is made."""


def _job(dice: random.Random, number: int, outputs: Path) -> Soaked:
    (make,) = dice.choices([make for _, make in _KINDS], [weight for weight, _ in _KINDS])
    return make(
        _Draw(
            number=number,
            lines=dice.choices([0, dice.randrange(1, 20), dice.randrange(20, 300), 2000], [40, 40, 18, 2])[0],
            short=round(dice.uniform(0, 0.1), 3),
            long=round(dice.choice([dice.uniform(0, 0.4), dice.uniform(0.3, 2.5)]), 3),
            good_from=dice.choice([2, 2, 3]),
            way=dice.choice(WAYS),
            few=dice.randrange(1, 4),
            coin=dice.random() < 0.4,
            outputs=outputs,
        )
    )


# -- faults


@dataclass(frozen=True, slots=True)
class Sort:
    """A kind of fault.

    Attributes:
        weight: how often, relative to the others of its store.
        targets: one of which it happens to.
        seconds: how long it lasts, from and to.
    """

    weight: float
    targets: tuple[str, ...]
    seconds: tuple[float, float] = (0.0, 0.0)


_KILLABLE: Final = tuple(host for host in HOSTS if host != STEADY)
_EVERYONE: Final = (*HOSTS, CLIENT)

ON_HOSTS: Final[Mapping[str, Sort]] = {
    "coordinator killed": Sort(6, _KILLABLE, (0.1, 5.0)),
    "coordinator stopped for less than its lease": Sort(6, HOSTS, (0.1, 1.5)),
    "coordinator stopped for longer than its lease": Sort(2, HOSTS, (2.8, 4.0)),
    "coordinator stopped until it is declared dead": Sort(2, HOSTS, (5.5, 7.0)),
    "coordinator drained": Sort(2, _KILLABLE, (0.1, 1.0)),
    "coordinator told twice to end": Sort(2, _KILLABLE, (0.1, 1.0)),
    "guardian killed": Sort(4, HOSTS),
    "fork server killed": Sort(3, HOSTS),
    "worker killed": Sort(34, HOSTS),
    "worker stopped for a while": Sort(6, HOSTS, (0.1, 1.5)),
    "lane killed": Sort(6, HOSTS),
    "child program killed": Sort(6, HOSTS),
}

ON_POSTGRES: Final[Mapping[str, Sort]] = {
    "connections closed": Sort(10, _EVERYONE),
    "connections reset": Sort(10, _EVERYONE),
    "reset in the middle of a question": Sort(6, _EVERYONE),
    "reset in the middle of an answer": Sort(6, _EVERYONE),
    "half closed towards the server": Sort(3, _EVERYONE),
    "half closed towards the client": Sort(3, _EVERYONE),
    "connections frozen": Sort(8, _EVERYONE, (0.2, 1.5)),
    "connections frozen for longer than the lease": Sort(1.5, _EVERYONE, (2.8, 6.5)),
    "connections slow": Sort(8, _EVERYONE, (0.5, 2.0)),
    "connections refused": Sort(5, _EVERYONE, (0.2, 2.0)),
    "commit done but not answered": Sort(14, _EVERYONE, (2.0, 2.0)),
    "question lost": Sort(6, _EVERYONE, (2.0, 2.0)),
    "listener cut off": Sort(4, _EVERYONE),
    "some backends terminated": Sort(10, (DATABASE,)),
    "all backends terminated": Sort(4, (DATABASE,)),
    "server restarted": Sort(1.2, (DATABASE,)),
    "server crashed": Sort(1.2, (DATABASE,)),
    "server stopped for a while": Sort(1.5, (DATABASE,), (0.3, 3.0)),
    "tables locked": Sort(2, (DATABASE,), (0.2, 2.5)),
    "rows locked": Sort(2, (DATABASE,), (0.2, 2.5)),
}

ON_SQLITE: Final[Mapping[str, Sort]] = {
    "write lock held": Sort(40, (DATABASE,), (0.02, 0.8)),
    "write lock held for longer than the lease": Sort(2, (DATABASE,), (2.8, 5.5)),
    "writer killed in its transaction": Sort(16, (DATABASE,), (0.02, 0.3)),
    "checkpoint by another process": Sort(16, (DATABASE,)),
    "old snapshot held": Sort(14, (DATABASE,), (0.2, 3.0)),
}


def sorts(store: StoreName) -> Mapping[str, Sort]:
    """All kinds of fault there are for a store."""
    return {**ON_HOSTS, **(ON_POSTGRES if store == "postgres" else ON_SQLITE)}


def _fault(dice: random.Random, number: int, *, at: float, store: StoreName) -> Fault:
    table = sorts(store)
    kind = dice.choices([*table], [sort.weight for sort in table.values()])[0]
    sort = table[kind]
    return Fault(number, round(at, 3), kind, dice.choice(sort.targets), round(dice.uniform(*sort.seconds), 3))
