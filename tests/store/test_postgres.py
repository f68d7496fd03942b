"""The PostgreSQL store keeps the promises of every store."""

from __future__ import annotations

import psycopg
import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.conformance import Backstage, Connect, OpenStore, PretendSchema, StoreConformance
from heavyjobs.testing.contract.claiming import Claiming
from heavyjobs.testing.contract.ending import Ending
from heavyjobs.testing.contract.submitting import Submitting
from tests.store.backstage import PostgresBackstage


class TestPostgres(StoreConformance):
    @pytest.fixture
    def open_store(self, empty_postgres_url: str) -> OpenStore:
        return lambda options: PostgresStore(empty_postgres_url, options)

    @pytest.fixture
    def connect(self, empty_postgres_url: str) -> Connect:
        return lambda: psycopg.connect(empty_postgres_url)

    @pytest.fixture
    def pretend_schema(self, empty_postgres_url: str) -> PretendSchema:
        def pretend(version: int, min_compatible: int) -> None:
            with psycopg.connect(empty_postgres_url) as connection:
                connection.execute("DELETE FROM heavyjobs.schema_version")
                connection.execute(
                    "INSERT INTO heavyjobs.schema_version (version, min_compatible) VALUES (%s, %s)", (version, min_compatible)
                )

        return pretend

    @pytest.fixture
    def backstage(self, empty_postgres_url: str) -> Backstage:
        return PostgresBackstage(empty_postgres_url)


class TestPostgresWithoutWakeUps(Submitting, Claiming, Ending):
    """As behind a pooler: no settings of a session, no prepared statements."""

    @pytest.fixture
    def open_store(self, empty_postgres_url: str) -> OpenStore:
        return lambda options: PostgresStore(empty_postgres_url, options)

    @pytest.fixture
    def options(self) -> StoreOptions:
        return StoreOptions(notify=False)
