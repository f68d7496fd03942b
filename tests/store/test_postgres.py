"""What every store promises, on PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.testing.conformance import Connect, OpenStore, PretendSchema, StoreConformance


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
