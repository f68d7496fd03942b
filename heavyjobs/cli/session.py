"""Talk to the database for as long as one command takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from heavyjobs.cli.common import settings
from heavyjobs.errors import StoreUnavailable
from heavyjobs.settings import Settings
from heavyjobs.store import options_of

if TYPE_CHECKING:
    from heavyjobs.client import Client

T = TypeVar("T")


@asynccontextmanager
async def connected(settings: Settings, *, create: bool) -> AsyncGenerator[Client]:
    """A client of the database that the settings name.

    Args:
        create: whether a SQLite file may be made. Whoever only looks gets an error instead of a new empty database, which is
            most often in the wrong folder.
    """
    from heavyjobs.client import Client

    if not create:
        expect_database(settings.database.url)
    async with Client.open(settings.database.url, options=options_of(settings.database)) as client:
        yield client


def with_client(work: Callable[[Client], Awaitable[T]], *, create: bool = False) -> T:
    """Run `work` with a client of the database that the settings name, and give its answer."""
    in_force = settings()

    async def session() -> T:
        async with connected(in_force, create=create) as client:
            return await work(client)

    return asyncio.run(session())


def expect_database(url: str) -> None:
    """Raise `StoreUnavailable` where opening the store would make a new file."""
    if url.startswith("sqlite:"):
        from heavyjobs.store.sqlite.addresses import database_path

        path = database_path(url)
        if not (folder := path.parent).is_dir():
            raise StoreUnavailable(
                f"{url}: there is no folder {folder}; make it: mkdir -p {folder}, or name another file with --database"
            )
        if not path.exists():
            raise StoreUnavailable(f"{url}: there is no {path}; heavyjobs run or submit makes it, --database names another one")
