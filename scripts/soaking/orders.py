"""The jobs of a plan: which are submitted, how, and what is done to them afterwards. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

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


def order(dice: random.Random, number: int, *, at: float, outputs: Path) -> Ordered:
    """Draw one."""
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
            # Some last longer than it takes to be declared dead: only these can be met by a second copy of themselves.
            long=round(dice.choices([dice.uniform(0, 0.4), dice.uniform(0.3, 2.5), dice.uniform(4, 9)], [45, 40, 15])[0], 3),
            good_from=dice.choice([2, 2, 3]),
            way=dice.choice(WAYS),
            few=dice.randrange(1, 4),
            coin=dice.random() < 0.4,
            outputs=outputs,
        )
    )
