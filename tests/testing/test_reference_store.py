"""The reference store keeps the promises of every store; what is compared with it is compared with something that does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heavyjobs.testing.conformance import Connect, OpenStore, PretendSchema, StoreConformance
from heavyjobs.testing.reference import ReferenceConnection, ReferenceDatabase, ReferenceStore


@pytest.fixture
def database() -> ReferenceDatabase:
    return ReferenceDatabase(lambda: datetime.now(UTC))


class TestReference(StoreConformance):
    @pytest.fixture
    def open_store(self, database: ReferenceDatabase) -> OpenStore:
        return lambda options: ReferenceStore(database, options)

    @pytest.fixture
    def connect(self, database: ReferenceDatabase) -> Connect:
        return lambda: ReferenceConnection(database)

    @pytest.fixture
    def pretend_schema(self, database: ReferenceDatabase) -> PretendSchema:
        def pretend(version: int, min_compatible: int) -> None:
            database.tables.schema = (version, min_compatible)

        return pretend
