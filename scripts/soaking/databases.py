"""Where the jobs are: a SQLite file, or a PostgreSQL that each host and the client reach by a proxy of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from heavyjobs.store import open_store
from heavyjobs.testing.postgres import PostgresServer
from heavyjobs.testing.proxy import FaultyProxy
from soaking.cast import CLIENT, HOSTS


@dataclass(frozen=True, slots=True)
class Database:
    """One database.

    Attributes:
        url: the direct way.
        server, proxies: of PostgreSQL; the latter by whose they are.
        path: of SQLite.
    """

    url: str
    server: PostgresServer | None = None
    proxies: Mapping[str, FaultyProxy] | None = None
    path: Path | None = None

    def url_for(self, whose: str) -> str:
        """The way of a host or of the client."""
        return self.proxies[whose].url if self.proxies else self.url

    def whole(self) -> str | None:
        """What is wrong with its file; None when nothing is, or when there is none."""
        if self.path is None:
            return None
        with closing(sqlite3.connect(self.path)) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
        return None if answer == "ok" else str(answer)

    def connections(self) -> list[str]:
        """Who is connected to it, as the server says."""
        if self.server is None:
            return []
        with psycopg.connect(self.server.url) as connection:
            name = psycopg.conninfo.conninfo_to_dict(self.url)["dbname"]
            rows = connection.execute(
                "SELECT format('%%s %%s %%s', pid, application_name, state) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            return [str(row[0]) for row in rows]


@asynccontextmanager
async def database(folder: Path, server: PostgresServer | None) -> AsyncGenerator[Database]:
    """A fresh one, with its tables."""
    async with AsyncExitStack() as stack:
        if server is None:
            path = folder / "heavyjobs.db"
            made = Database(f"sqlite:///{path}", path=path)
        else:
            url = server.create_database()
            proxies = {whose: await stack.enter_async_context(FaultyProxy(url)) for whose in (*HOSTS, CLIENT)}
            made = Database(url, server=server, proxies=proxies)
        async with open_store(made.url) as store:
            await store.migrate()
        yield made


POSTGRES_SETTINGS: Final = {"fsync": "on", "full_page_writes": "on", "max_connections": "200"}
"""A server that crashes on purpose has to come back with all that it said it had."""
