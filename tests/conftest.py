"""For all tests: a real PostgreSQL for each worker of pytest, a fresh database in it for each test; an ordinary user."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.postgres import PostgresServer, postgres_server

_TEMPLATE = "migrated"
_NOBODY = 65534

_MEMORY = Path("/dev/shm")  # noqa: S108 - only as the parent of a private folder, where there is such a place
_ROOM_BYTES = 2 << 30

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts so what runs in its background; the commands that tests interrupt would inherit it, and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of this worker's own, of the binaries that HEAVYJOBS_POSTGRES_BIN names, if it does. Tests leave it running."""
    binaries = os.environ.get("HEAVYJOBS_POSTGRES_BIN")
    with postgres_server(binaries=Path(binaries) if binaries else None, data_in=_roomy_memory()) as server:
        yield server


def _roomy_memory() -> Path | None:
    """In memory a fresh database costs a twentieth: ext4 is slow to make files where as many have just been removed."""
    roomy = _MEMORY.is_dir() and min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) >= _ROOM_BYTES
    return _MEMORY if roomy else None


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh database with nothing in it."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a migrated database that nobody is connected to."""
    url = postgres.create_database(name=_TEMPLATE)

    async def migrate() -> None:
        async with PostgresStore(url, StoreOptions()) as store:
            await store.migrate()

    asyncio.run(migrate())
    return _TEMPLATE


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with postgres.database(template=postgres_template) as url:
        yield url


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    """A store on a fresh, migrated database."""
    async with PostgresStore(postgres_url, StoreOptions()) as store:
        yield store


@pytest.fixture
def no_root() -> Iterator[Path]:
    """A folder of an ordinary user, whom the tests then run as: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid():
            yield Path(folder)
            return
        os.chown(folder, _NOBODY, -1)
        os.seteuid(_NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
