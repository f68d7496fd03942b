"""The PostgreSQL store keeps every promise behind pgbouncer in transaction mode, too, and need not be told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.testing.conformance import OpenStore
from heavyjobs.testing.contract.claiming import Claiming
from heavyjobs.testing.contract.ending import Ending
from heavyjobs.testing.contract.submitting import Submitting
from heavyjobs.testing.pooler import Pooler, pooler
from heavyjobs.testing.postgres import PostgresServer
from tests.store.test_postgres import TestPostgres as Direct


@pytest.fixture(scope="module")
def between(postgres: PostgresServer) -> Iterator[Pooler]:
    with pooler(postgres) as between:
        yield between


@pytest.fixture
def pooled_url(empty_postgres_url: str, between: Pooler) -> str:
    return between.url_of(empty_postgres_url.rpartition("/")[2])


@pytest.mark.fault("database: a pooler in transaction mode, its database's address named for listening")
class TestPostgresBehindAPooler(Direct):
    @pytest.fixture
    def open_store(self, empty_postgres_url: str, pooled_url: str) -> OpenStore:
        return lambda options: PostgresStore(
            pooled_url, replace(options, listen_url=empty_postgres_url if options.notify else None)
        )


@pytest.mark.fault("database: a pooler in transaction mode that nobody was told of")
class TestPostgresBehindAPoolerUnawares(Submitting, Claiming, Ending):
    @pytest.fixture
    def open_store(self, pooled_url: str) -> OpenStore:
        return lambda options: PostgresStore(pooled_url, options)
