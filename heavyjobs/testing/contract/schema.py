"""Promises about the schema: made once, by whoever comes first, and never used by a release that does not understand it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from heavyjobs.errors import SchemaMismatch
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import Harness, OpenStore, PretendSchema, submit


class Schema(Harness):
    async def test_a_database_without_schema_is_refused_until_it_is_migrated(
        self, open_store: OpenStore, options: StoreOptions
    ) -> None:
        async with open_store(options) as store:
            with pytest.raises(SchemaMismatch):
                await store.check_schema()

            before, after = await store.migrate()
            await store.check_schema()

            assert before == 0
            assert after >= 1

    async def test_migrating_again_changes_nothing(self, store: Store) -> None:
        [job] = await submit(store)

        before, after = await store.migrate()

        assert before == after >= 1
        assert await store.get(job) is not None

    async def test_many_may_migrate_at_once_and_one_of_them_does_it(self, open_store: OpenStore, options: StoreOptions) -> None:
        async with AsyncExitStack() as entered:
            stores = [await entered.enter_async_context(open_store(options)) for _ in range(4)]

            versions = await asyncio.gather(*(store.migrate() for store in stores))

            await asyncio.gather(*(store.check_schema() for store in stores))
        assert sorted(before for before, _ in versions)[:2] == [0, versions[0][1]]
        assert len({after for _, after in versions}) == 1

    async def test_a_schema_that_only_newer_releases_understand_is_refused_and_left_alone(
        self, store: Store, pretend_schema: PretendSchema
    ) -> None:
        pretend_schema(9999, 9999)

        with pytest.raises(SchemaMismatch):
            await store.check_schema()
        with pytest.raises(SchemaMismatch):
            await store.migrate()
        with pytest.raises(SchemaMismatch):
            await store.check_schema()

    async def test_a_newer_schema_that_says_this_release_can_use_it_is_used_as_it_is(
        self, store: Store, pretend_schema: PretendSchema
    ) -> None:
        pretend_schema(9999, 1)

        await store.check_schema()

        assert await store.migrate() == (9999, 9999)
        assert await submit(store)

    async def test_a_schema_older_than_this_release_is_refused_until_it_is_migrated(
        self, store: Store, pretend_schema: PretendSchema
    ) -> None:
        pretend_schema(0, 0)

        with pytest.raises(SchemaMismatch):
            await store.check_schema()
