"""Two verbs at once on SQLite, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.interleavings.orders import all_orders
from tests.interleavings.pairs import PAIRS, Pair
from tests.interleavings.stages import Stage, sqlite_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with sqlite_stage(tmp_path_factory.mktemp("interleavings")) as stage:
        yield stage


@pytest.mark.fault("database: two verbs at once, in every order of their steps, on SQLite")
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_every_order_on_sqlite_ends_in_one_of_the_ways_that_are_allowed(
    pair: Pair, on_sqlite: Stage, record_property: Callable[[str, object], None]
) -> None:
    await all_orders(on_sqlite, pair)
    record_property("figure: pairs of verbs in every order of their steps", 1)
