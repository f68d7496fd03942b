"""Each test of this folder runs on every store that its database can be made for here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heavyjobs import Client, StoreOptions
from heavyjobs.store import Store, open_store
from tests.client.player import Player


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database; the one in PostgreSQL is migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def options() -> StoreOptions:
    return StoreOptions()


@pytest.fixture
async def client(url: str, options: StoreOptions) -> AsyncIterator[Client]:
    async with Client.open(url, options=options) as client:
        yield client


@pytest.fixture
async def store(client: Client, url: str) -> AsyncIterator[Store]:
    """A store of the coordinator's own, as in another process."""
    async with open_store(url) as store:
        yield store


@pytest.fixture
async def player(store: Store) -> Player:
    return await Player.registered(store)
