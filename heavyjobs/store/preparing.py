"""Make sure, when a database is opened, that this release can work on its schema."""

from __future__ import annotations

from urllib.parse import urlsplit

from heavyjobs.errors import SchemaMismatch
from heavyjobs.store.protocol import Store


async def prepare_schema(store: Store) -> None:
    """Check the schema; a SQLite file is brought to this release's by itself, so that one file and one command are enough.

    A database that others administer is changed by `heavyjobs migrate` alone.

    Raises:
        SchemaMismatch: this release cannot work on it; says what would do.
    """
    try:
        await store.check_schema()
    except SchemaMismatch:
        if urlsplit(store.url).scheme != "sqlite":
            raise
        await store.migrate()
