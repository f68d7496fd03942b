"""Wake-ups come in over one connection, however many wait for them.

The listener guarantees
- that a subscriber misses nothing that is committed once it is subscribed, or else hears a wake-up without keys for each topic;
- that the connection is opened for the first subscriber and closed after the last;
- that a connection which died, or a server which does not answer any more, is noticed within seconds and replaced.

It assumes that a hint may be late or lost without harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from heavyjobs.store.patience import Patience
from heavyjobs.store.postgres.addresses import Address
from heavyjobs.store.postgres.talking import Connection, break_off, is_direct
from heavyjobs.store.postgres.wakeups import read
from heavyjobs.store.records import Topic, WakeUp

CHECK_SECONDS: Final = 2.5
"""How often the listener makes sure that its connection is still one."""

ANSWER_SECONDS: Final = 2.0
"""How long the server may take to answer that: one that is gone is noticed within 5 s."""

KEYS_MAX: Final = 1000
"""More keys than this of one topic, not yet taken, become "any"."""

T = TypeVar("T")

_ADVICE: Final = "set database.listen_url to a direct address, or database.notify = false"

logger: Final = logging.getLogger(__name__)


class Mailbox:
    """What one subscriber has not taken yet: for each topic the keys, none meaning any."""

    def __init__(self, topics: Collection[Topic]) -> None:
        self._topics: Final = frozenset(topics)
        self._waiting: Final[dict[Topic, frozenset[str]]] = {}
        self._news: Final = asyncio.Event()
        self._error: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WakeUp:
        await self._news.wait()
        if self._error is not None:
            raise self._error
        topic = next(iter(self._waiting))
        wakeup = WakeUp(topic, self._waiting.pop(topic))
        if not self._waiting:
            self._news.clear()
        return wakeup

    def put(self, wakeup: WakeUp) -> None:
        if wakeup.topic not in self._topics:
            return
        waiting = self._waiting.get(wakeup.topic)
        if waiting is None:
            keys = wakeup.keys
        elif waiting and wakeup.keys:
            keys = waiting | wakeup.keys
        else:
            keys = frozenset[str]()
        self._waiting[wakeup.topic] = keys if len(keys) <= KEYS_MAX else frozenset[str]()
        self._news.set()

    def put_all(self) -> None:
        """Anything may have happened."""
        for topic in self._topics:
            self.put(WakeUp(topic))

    def empty(self) -> None:
        """Forget what is not of interest yet."""
        self._waiting.clear()
        self._news.clear()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._news.set()


class Listener:
    """The one connection.

    Args:
        timeout_seconds: of a call; an answer to the listener has no longer than `ANSWER_SECONDS`.
        named: whether the address was named for listening, and not only as the database's.
        on_silence: told since when the server had not answered, once it answers on another connection: so it was the
            connection, and others as old may be as silent.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_seconds: float,
        named: bool = False,
        on_silence: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._address: Final = address
        self._answer_seconds: Final = min(ANSWER_SECONDS, timeout_seconds)
        self._named: Final = named
        self._on_silence: Final = on_silence
        self._silent_since: float | None = None
        self._mailboxes: Final[set[Mailbox]] = set()
        self._task: asyncio.Task[None] | None = None
        self._tried: Final = asyncio.Event()
        self._listening = False

    @asynccontextmanager
    async def subscribe(self, topics: Collection[Topic]) -> AsyncGenerator[Mailbox]:
        """Hear of `topics` from now on, or from when the database can be reached."""
        mailbox = Mailbox(topics)
        self._mailboxes.add(mailbox)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="listening to PostgreSQL")
            self._task.add_done_callback(self._ended)
        try:
            await self._tried.wait()
            if self._listening:
                mailbox.empty()
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)
            if not self._mailboxes:
                await self.stop()

    async def stop(self) -> None:
        task, self._task = self._task, None
        self._tried.clear()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._tried.set()
            for mailbox in self._mailboxes:
                mailbox.fail(error)

    async def _listen(self) -> None:
        patience = Patience()
        while True:
            try:
                async with await AsyncConnection[TupleRow].connect(self._address.conninfo, autocommit=True) as connection:
                    if not self._named and not await self._within(connection, is_direct(connection)):
                        break
                    await self._within(connection, connection.execute("LISTEN heavyjobs"))
                    patience.renew()
                    await self._tell_of_silence()
                    self._listening = True
                    for mailbox in self._mailboxes:
                        mailbox.put_all()
                    self._tried.set()
                    await self._hear(connection)
            except psycopg.Error as error:
                logger.warning("%s: no wake-ups until the listener has connected again: %s", self._address.shown, error)
            finally:
                self._listening = False
            self._tried.set()
            await patience.wait()
        logger.warning("%s: a pooler is between, so nothing is heard, polling does the work; %s", self._address.shown, _ADVICE)
        self._tried.set()

    async def _hear(self, connection: Connection) -> None:
        while True:
            async for notification in connection.notifies(timeout=CHECK_SECONDS):
                for wakeup in read(notification.payload):
                    for mailbox in self._mailboxes:
                        mailbox.put(wakeup)
            await self._within(connection, connection.execute("SELECT 1"))

    async def _within(self, connection: Connection, asking: Awaitable[T]) -> T:
        """The connection is broken off when no answer comes: psycopg would first wait for the server to confirm a cancel."""
        breaking = asyncio.get_running_loop().call_later(self._answer_seconds, self._give_up, connection, time.monotonic())
        try:
            return await asking
        finally:
            breaking.cancel()

    def _give_up(self, connection: Connection, asked_at: float) -> None:
        self._silent_since = asked_at
        break_off(connection)

    async def _tell_of_silence(self) -> None:
        since, self._silent_since = self._silent_since, None
        if since is not None and self._on_silence is not None:
            await self._on_silence(since)
