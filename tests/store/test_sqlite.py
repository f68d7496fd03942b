"""The SQLite store keeps the promises of every store, and those that only SQLite makes necessary."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.testing.conformance import Connect, OpenStore, PretendSchema, StoreConformance


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
