"""Memory: the database behind one protocol."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from heavyjobs.errors import ConfigurationError
from heavyjobs.settings import DatabaseSettings
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import StoreOptions

__all__ = ["Store", "StoreOptions", "open_store", "options_of"]

_FORMS: Final = "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"


def open_store(url: str, options: StoreOptions | None = None) -> Store:
    """The store behind a URL, not yet connected: enter it.

    Raises:
        ConfigurationError: no store speaks that URL; says which forms do.
    """
    options = options or StoreOptions()
    match _scheme(url):
        case "sqlite":
            from heavyjobs.store.sqlite import SqliteStore

            return SqliteStore(url, options)
        case "postgresql" | "postgres":
            from heavyjobs.store.postgres import PostgresStore

            return PostgresStore(url, options)
        case other:
            raise ConfigurationError(
                f"database URL: no store for {other + '://' if other else 'a URL without scheme'}; use {_FORMS}"
            )


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # whose text may quote half a password
        raise ConfigurationError(f"database URL: its host makes no sense; use {_FORMS}") from None


def options_of(database: DatabaseSettings) -> StoreOptions:
    """What the configuration says of the database, its URL aside."""
    return StoreOptions(
        timeout_seconds=database.timeout,
        connections=database.connections,
        listen_url=database.listen_url,
        notify=database.notify,
    )
