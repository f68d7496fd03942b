"""Wake-ups without a server: a number for each topic, and one thread that sees when somebody has raised it.

A look is `PRAGMA data_version`, which reads no page; only when another connection has committed are the numbers read. The
thread runs while somebody listens, looks often for a moment after news or a new listener came, and seldom otherwise: waking up
is what costs, some 80 µs each time.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, closing
from typing import Final, Self

from heavyjobs.store.records import Topic, WakeUp
from heavyjobs.store.sqlite.sql import SQL

EAGER_SECONDS: Final = 0.005
"""How often to look while there is news."""

EAGER_FOR_SECONDS: Final = 1.0
"""How long after the last."""

MISHAP_SECONDS: Final = 1.0
"""How long to leave a database alone that cannot be looked at; waiters poll meanwhile."""


def wake(connection: sqlite3.Connection, *topics: Topic) -> None:
    """Say that topics have news, as of the transaction's commit."""
    for topic in topics:
        connection.execute(SQL["wake"], {"topic": topic.value})


def numbers(connection: sqlite3.Connection) -> dict[Topic, int]:
    """How often each topic had news."""
    return {Topic(row["topic"]): row["number"] for row in connection.execute(SQL["wakeups"])}


class Listener:
    """One subscriber's end: wake-ups that came and were not yet taken, at most one for each topic."""

    def __init__(self, topics: Collection[Topic], seen: Mapping[Topic, int]) -> None:
        self.topics: Final = frozenset(topics)
        self._seen = dict(seen)
        self._loop: Final = asyncio.get_running_loop()
        self._pending: set[Topic] = set()
        self._came: Final = asyncio.Event()

    def tell(self, now: Mapping[Topic, int] | None) -> bool:
        """Compare the numbers with those seen, on the watch's thread; None means that anything may have happened.

        Returns:
            Whether there was news for this listener.
        """
        if now is None:
            news = self.topics
        else:
            news = frozenset(topic for topic in self.topics if now.get(topic) != self._seen.get(topic))
            self._seen.update(now)
        if news:
            self._loop.call_soon_threadsafe(self._take, news)
        return bool(news)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WakeUp:
        await self._came.wait()
        topic = self._pending.pop()
        if not self._pending:
            self._came.clear()
        return WakeUp(topic)

    def _take(self, news: frozenset[Topic]) -> None:
        self._pending |= news
        self._came.set()


class Watch:
    """Sees commits of other connections, for any number of listeners."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, look_seconds: float) -> None:
        self._connect: Final = connect
        self._look_seconds: Final = look_seconds
        self._listeners: Final = set[Listener]()
        self._lock: Final = threading.Lock()
        self._eager_until = 0.0
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    @asynccontextmanager
    async def listening(self, listener: Listener) -> AsyncGenerator[Listener]:
        """Tell the listener of news while the block lasts."""
        self._add(listener)
        try:
            yield listener
        finally:
            thread = self._remove(listener)
            if thread is not None:
                await asyncio.shield(asyncio.to_thread(thread.join))

    def _add(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.add(listener)
            self._eager_until = time.monotonic() + EAGER_FOR_SECONDS
            if self._stop is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=(self._stop,), name="heavyjobs-sqlite-watch", daemon=True
                )
                self._thread.start()

    def _remove(self, listener: Listener) -> threading.Thread | None:
        """Let the thread end with its last listener; it is then to be joined."""
        with self._lock:
            self._listeners.discard(listener)
            if self._listeners or self._stop is None:
                return None
            self._stop.set()
            thread, self._stop, self._thread = self._thread, None, None
            return thread

    # -- on the thread

    def _watch(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with closing(self._connect()) as connection:
                    self._look_until(stop, connection)
            except sqlite3.Error:
                # Whatever was missed, listeners look for themselves, and find out what is wrong with the database.
                self._tell(None)
                stop.wait(MISHAP_SECONDS)

    def _look_until(self, stop: threading.Event, connection: sqlite3.Connection) -> None:
        seen: int | None = None
        while not stop.is_set():
            [version] = connection.execute("PRAGMA data_version").fetchone()
            if version != seen:
                self._tell(numbers(connection))
                seen = version
            stop.wait(self._rest_seconds())

    def _rest_seconds(self) -> float:
        eager = time.monotonic() < self._eager_until
        return min(self._look_seconds, EAGER_SECONDS) if eager else self._look_seconds

    def _tell(self, now: Mapping[Topic, int] | None) -> None:
        with self._lock:
            heard = [listener.tell(now) for listener in self._listeners]
            if any(heard):
                self._eager_until = time.monotonic() + EAGER_FOR_SECONDS
