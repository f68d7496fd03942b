"""Calls end when their time is over, whatever asyncio and psycopg would wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from heavyjobs.store.postgres.talking import Connection, break_off

CANCEL_SECONDS: Final = 1.0
"""How long a server that has not answered in time may take to confirm that it has stopped."""


@contextmanager
def cancellable() -> Generator[None]:
    """Raise a cancel that was swallowed in the block: before Python 3.12 asyncio.wait_for may, and the pool waits with it.

    A loop over verbs would go on for ever otherwise, and whoever cancelled it would wait for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


@contextmanager
def broken_off(connection: Connection, limit: asyncio.Timeout | None) -> Generator[None]:
    """Close the socket in the block a moment after the limit: psycopg waits for the server to confirm a cancel, for seconds."""
    when = limit.when() if limit else None
    if when is None:
        yield
        return
    breaking = asyncio.get_running_loop().call_at(when + CANCEL_SECONDS, break_off, connection)
    try:
        yield
    finally:
        breaking.cancel()


def is_over(limit: asyncio.Timeout | None) -> bool:
    """Whether the time is up, though it may not have been said yet."""
    when = limit.when() if limit else None
    return when is not None and when <= asyncio.get_running_loop().time()
