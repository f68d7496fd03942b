"""The SQLite store keeps the promises of every store, and those that only SQLite makes necessary."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from heavyjobs.errors import Unstorable
from heavyjobs.model import Bill, ClaimKey, new_id
from heavyjobs.store.records import Filter
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.testing.conformance import Backstage, Connect, OpenStore, PretendSchema, StoreConformance
from heavyjobs.testing.contract.harness import finish, news, record, register, running, submit, take, want
from tests.store.backstage import SqliteBackstage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


class TestSqlite(StoreConformance):
    @pytest.fixture
    def open_store(self, path: Path) -> OpenStore:
        return lambda options: SqliteStore(f"sqlite:///{path}", options)

    @pytest.fixture
    def connect(self, path: Path) -> Connect:
        return lambda: sqlite3.connect(path)

    @pytest.fixture
    def pretend_schema(self, path: Path) -> PretendSchema:
        def pretend(version: int, min_compatible: int) -> None:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(
                    "UPDATE heavyjobs_schema_version SET version = ?, min_compatible = ?", (version, min_compatible)
                )

        return pretend

    @pytest.fixture
    def backstage(self, path: Path) -> Backstage:
        return SqliteBackstage(path)


async def test_a_value_that_only_the_driver_finds_odd_is_a_mistake_of_the_caller(path: Path) -> None:
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        session = await register(store)
        claim = await running(store, session)
        await submit(store)

        with pytest.raises(Unstorable):
            await take(store, session, want("\ud800"))
        with pytest.raises(Unstorable):
            await store.list(Filter(limit=2**70))
        with pytest.raises(Unstorable):
            await record(store, session, progress=[news(claim, bill=Bill(memory_peak_bytes=2**70))])
        with pytest.raises(Unstorable):
            await record(store, session, progress=[news(claim, bill=Bill(wall_seconds=float("nan")))])
        with pytest.raises(Unstorable):
            await store.holds(session, ClaimKey(new_id(), 2**70))

        await finish(store, session, claim)
