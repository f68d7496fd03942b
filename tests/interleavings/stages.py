"""Three sessions of one store: one for each of two actors, behind the gate, and one that prepares and looks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psycopg

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import StoreOptions
from heavyjobs.store.sqlite import SqliteStore, connecting
from tests.interleavings.pairs import Pair
from tests.interleavings.postgres_gate import PostgresGate
from tests.interleavings.scheduler import DEADLINE_SECONDS, Actor, Gate, NothingNew, Order, play
from tests.interleavings.sqlite_gate import SqliteGate
from tests.interleavings.verbs import OF_THE_PARENT, VERBS, Start, begin, check, standing, watch

PATIENT = StoreOptions(timeout_seconds=DEADLINE_SECONDS)


class Misplayed(Exception):  # it carries the order that did it
    """Something went wrong in an order; with what plays it again."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where orders are played; each has jobs and sessions of its own.

    Attributes:
        empty: clears away what earlier orders left.
    """

    plain: Store
    stores: Sequence[Store]
    actors: Sequence[Actor]
    gate: Gate
    empty: Callable[[], Awaitable[object]]

    async def play_all(self, pair: Pair, word: str | None = None) -> dict[tuple[str, ...], str]:
        """Play a pair in every order, or in that of `word` alone; what became of it, each with an order that led there.

        Raises:
            Misplayed: what must hold did not, a verb raised, or somebody would have waited for ever.
        """
        await self.empty()
        order: Order | None = Order(word or "")
        outcomes: dict[tuple[str, ...], str] = {}
        while order is not None:
            try:
                outcomes.setdefault(await self.play(pair, order), str(order))
            except NothingNew:
                pass
            except Exception as error:
                raise Misplayed(f"{error!r}, in the order {order}: {' '.join(order.steps)}") from error
            order = order.next() if word is None else None
        return outcomes

    async def play(self, pair: Pair, order: Order) -> tuple[str, ...]:
        """Play a pair in that order; the verbs' answers, and where all stands in the end."""
        letters = "".join(actor.name for actor in self.actors)
        start = await begin(self.plain, pair.state, actors=letters, family=bool(OF_THE_PARENT & {*pair.verbs}))
        verbs = [
            self._bound(verb, store, start, actor)
            for verb, store, actor in zip(pair.verbs, self.stores, self.actors, strict=True)
        ]
        answers = await play(self.actors, verbs, self.gate, order, after_commit=lambda: watch(self.plain, start))
        await check(self.plain, start)
        for session in (start.holder, start.keeper, *start.others.values()):
            await self.plain.end_session(session)
        return *answers, await standing(self.plain, start)

    @staticmethod
    def _bound(verb: str, store: Store, start: Start, actor: Actor) -> Callable[[], Awaitable[str]]:
        return lambda: VERBS[verb](store, start, actor.name)


@asynccontextmanager
async def postgres_stage(url: str) -> AsyncGenerator[Stage]:
    """On a migrated database."""
    actors = Actor("A"), Actor("B")
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(await psycopg.AsyncConnection.connect(url, autocommit=True))
        gate = PostgresGate(watching)
        urls = [await stack.enter_async_context(gate.proxy(actor, url)) for actor in actors]
        plain, *stores = [await stack.enter_async_context(PostgresStore(each, PATIENT)) for each in (url, *urls)]

        async def empty() -> None:
            await watching.execute("TRUNCATE heavyjobs.jobs, heavyjobs.invocations, heavyjobs.logs, heavyjobs.coordinators")

        yield Stage(plain, stores, actors, gate, empty)


@asynccontextmanager
async def sqlite_stage(folder: Path) -> AsyncGenerator[Stage]:
    """On a fresh file in that folder."""
    actors = Actor("A"), Actor("B")
    # When a tick gives the log its room depends on the time: a step that the same order has once, and once not.
    async with AsyncExitStack() as stack:
        stack.enter_context(patch.object(connecting, "can_reserve", lambda: False))
        gate = SqliteGate(actors)
        plain, *stores = [
            await stack.enter_async_context(SqliteStore(f"sqlite:///{folder}/jobs.db", PATIENT)) for _ in range(3)
        ]
        await plain.migrate()
        for actor, store in zip(actors, stores, strict=True):
            await gate.guard(actor, store)

        async def empty() -> None:
            # A log that has grown long is moved by whoever writes next, which would be a step that other orders do not have.
            await plain._writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

        yield Stage(plain, stores, actors, gate, empty)
