"""Memory in one SQLite file: for one host, with no server to run."""

from heavyjobs.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
