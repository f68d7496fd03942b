"""The reference store keeps the promises of every store; what is compared with it is compared with something that does."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heavyjobs.testing.conformance import Backstage, Connect, OpenStore, PretendSchema, StoreConformance
from heavyjobs.testing.reference import ReferenceConnection, ReferenceDatabase, ReferenceStore
from heavyjobs.testing.reference.tables import Tables


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

    @pytest.fixture
    def backstage(self, database: ReferenceDatabase) -> Backstage:
        return _Backstage(database)


class _Backstage:
    def __init__(self, database: ReferenceDatabase) -> None:
        self._database = database

    def empty(self) -> None:
        self._database.tables = Tables(schema=self._database.tables.schema)

    def pass_time(self, seconds: float) -> None:
        back, tables = timedelta(seconds=seconds), self._database.tables
        tables.jobs = {key: replace(job, record=_earlier(job.record, back)) for key, job in tables.jobs.items()}
        tables.invocations = {claim: _earlier(each, back) for claim, each in tables.invocations.items()}
        tables.sessions = {key: _earlier(each, back) for key, each in tables.sessions.items()}


def _earlier(record: Any, back: timedelta) -> Any:
    times = {each.name: getattr(record, each.name) for each in fields(record)}
    return replace(record, **{name: time - back for name, time in times.items() if isinstance(time, datetime)})
