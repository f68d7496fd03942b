"""Two verbs at once on PostgreSQL, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from heavyjobs.testing.postgres import PostgresServer
from tests.interleavings.orders import all_orders
from tests.interleavings.pairs import PAIRS, Pair
from tests.interleavings.stages import Stage, postgres_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_postgres(postgres: PostgresServer, postgres_template: str) -> AsyncIterator[Stage]:
    with postgres.database(template=postgres_template) as url:
        async with postgres_stage(url) as stage:
            yield stage


@pytest.mark.fault("database: two verbs at once, in every order of their steps, on PostgreSQL")
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_every_order_on_postgres_ends_in_one_of_the_ways_that_are_allowed(
    pair: Pair, on_postgres: Stage, record_property: Callable[[str, object], None]
) -> None:
    await all_orders(on_postgres, pair)
    record_property("figure: pairs of verbs in every order of their steps", 1)
