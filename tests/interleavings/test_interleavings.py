"""Whatever the order of their steps, two verbs that run at once end as one of the few ways that `pairs.txt` allows.

A failure names its order; `HEAVYJOBS_ORDER=AABBA` plays that one alone.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from itertools import combinations_with_replacement

import pytest
import pytest_asyncio

from heavyjobs.testing.postgres import PostgresServer
from tests.interleavings.pairs import PAIRS, Pair
from tests.interleavings.stages import Stage, postgres_stage, sqlite_stage

ORDER = os.environ.get("HEAVYJOBS_ORDER")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_postgres(postgres: PostgresServer, postgres_template: str) -> AsyncIterator[Stage]:
    async with postgres_stage(postgres.create_database(template=postgres_template)) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with sqlite_stage(tmp_path_factory.mktemp("interleavings")) as stage:
        yield stage


@pytest.mark.fault("database: two verbs at once, in every order of their steps, on PostgreSQL")
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_every_order_on_postgres_ends_in_one_of_the_ways_that_are_allowed(pair: Pair, on_postgres: Stage) -> None:
    await _all_orders(on_postgres, pair)


@pytest.mark.fault("database: two verbs at once, in every order of their steps, on SQLite")
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_every_order_on_sqlite_ends_in_one_of_the_ways_that_are_allowed(pair: Pair, on_sqlite: Stage) -> None:
    await _all_orders(on_sqlite, pair)


async def _all_orders(stage: Stage, pair: Pair) -> None:
    outcomes = await stage.play_all(pair, ORDER)

    wrong = {" | ".join(outcome): order for outcome, order in outcomes.items() if outcome not in PAIRS[pair]}
    assert not wrong, "\n".join(f"{outcome}, with HEAVYJOBS_ORDER={order}" for outcome, order in wrong.items())
    if ORDER is None:
        never = PAIRS[pair] - outcomes.keys()
        assert not never, f"no order leads to {never}: leave it out"


async def test_every_two_verbs_are_tried_together() -> None:
    """The verbs of each sort are tried with those of every other sort, and of their own."""
    sorts = {
        "claim": {"claim", "claim late"},
        "finish": {"finish", "die"},
        "cancel": {"cancel"},
        "forfeit": {"forfeit"},
        "tick": {"tick"},
        "retry": {"retry"},
        "cascade": {"fall", "cancel parent"},
        "hand back": {"hand back"},
        "spawn": {"spawn", "spawn again"},
    }
    tried = {frozenset(pair.verbs) for pair in PAIRS}

    missing = [
        (one, other)
        for one, other in combinations_with_replacement(sorts, 2)
        if not any({first, second} in tried for first in sorts[one] for second in sorts[other])
    ]

    assert missing == []
