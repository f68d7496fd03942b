"""Each test of this folder runs on every store; where a test says so, also with wake-ups off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from heavyjobs import Client
from heavyjobs.coordinator import Coordinator
from heavyjobs.store import open_store
from tests.lifecycle.hosts import TESTED_BY, coordinating


@pytest.fixture(scope="session", autouse=True)
def tested_by() -> None:
    """Mark all that this process starts: others may run these tests on this machine at the same time."""
    os.environ[TESTED_BY] = uuid4().hex


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database."""
    if request.param == "postgres":
        found: str = request.getfixturevalue("postgres_url")
        return found
    address = f"sqlite:///{tmp_path}/jobs.db"

    async def migrate() -> None:
        async with open_store(address) as store:
            await store.migrate()

    asyncio.run(migrate())
    return address


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    """As an application has it: no part of the coordinator."""
    async with Client.open(url) as client:
        yield client


@pytest.fixture
async def coordinator(url: str) -> AsyncIterator[Coordinator]:
    """One that runs in this process, with two slots."""
    async with coordinating(url) as coordinator:
        yield coordinator
