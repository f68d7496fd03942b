"""A pgbouncer in front of a test's server; where there is none, and none can be fetched, the test is left out with a word."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from heavyjobs.testing import pooler as real
from heavyjobs.testing.pooler import Pooler
from heavyjobs.testing.pooler_binaries import PoolerMissing, find_pgbouncer
from heavyjobs.testing.postgres import PostgresServer


def need_pgbouncer() -> None:
    """Leave the test out where there is none."""
    try:
        find_pgbouncer()
    except PoolerMissing as missing:
        pytest.skip(f"{missing}; run these tests where pgbouncer is installed")


@contextmanager
def pooler(server: PostgresServer, *, settings: Mapping[str, str] | None = None) -> Generator[Pooler]:
    """One for the length of the block."""
    need_pgbouncer()
    with real.pooler(server, settings=settings) as between:
        yield between
