"""One coordinator per host: sessions, one after the other, until it is told to stop.

A session that was fenced, or whose lease lapsed, is over; its trees are gone, and a new session goes on.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from heavyjobs.coordinator import journal
from heavyjobs.coordinator.machine import Machine
from heavyjobs.coordinator.session import Work
from heavyjobs.errors import HeavyjobsError, SessionFenced, StoreUnavailable
from heavyjobs.events import Confinement
from heavyjobs.model import Session
from heavyjobs.settings import Settings
from heavyjobs.slots.confinement import confinement_of
from heavyjobs.slots.probe import Asked, Probed
from heavyjobs.store import open_store, options_of
from heavyjobs.store.patience import Patience
from heavyjobs.store.preparing import prepare_schema
from heavyjobs.store.protocol import Store


class Coordinator:
    """Runs jobs of the configured queues; `run` returns when it has drained.

    Args:
        store: entered and migrated.
        machine: that it runs on; this one by default.
    """

    def __init__(self, settings: Settings, store: Store, machine: Machine | None = None) -> None:
        self._settings = settings
        self._store = store
        self._machine = machine or Machine()
        self._draining = asyncio.Event()
        self._hurry = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once the job types are known, just before the first session is registered."""

    def stop(self) -> None:
        """Drain: claim nothing more, let work end, hand back what has not in time. A second call hands back at once."""
        if self._draining.is_set():
            self._hurry.set()
        self._draining.set()

    async def run(self) -> None:
        """Work until stopped and drained.

        Raises:
            HeavyjobsError: no job type could be loaded, or the database cannot be used at all.
        """
        confinement = confinement_of(self._settings.workers)
        await self._machine.sweep_after_the_dead()
        probed = await self._probe(confinement)
        predecessors: set[UUID] = set()
        patience = Patience()
        while not self._draining.is_set():
            session = self._describe(probed)
            work = Work(
                self._settings,
                self._store,
                session,
                probed,
                self._machine,
                confinement,
                predecessors=frozenset(predecessors),
                draining=self._draining,
                hurry=self._hurry,
            )
            predecessors.add(session.id)
            self.ready.set()
            try:
                await work.work()
            except* SessionFenced as fenced:
                journal.say("session is over", level="ERROR", session=session.id, reason=fenced.exceptions[0])
            except* StoreUnavailable as away:
                journal.say("the database is away", level="ERROR", reason=away.exceptions[0])
                await patience.wait()
        journal.say("stopped")

    async def _probe(self, confinement: Confinement) -> Probed:
        settings = self._settings
        asked = Asked(
            path=tuple(settings.import_paths()),
            modules=settings.modules,
            preload=settings.preload,
            confinement=confinement,
        )
        probed = await self._machine.probe(asked)
        for problem in probed.problems:
            journal.say("a module cannot be used; the kinds that it defines are not run here", level="ERROR", problem=problem)
        if not probed.kinds:
            raise HeavyjobsError("no job type could be loaded: " + ("; ".join(probed.problems) or "the modules define none"))
        return probed

    def _describe(self, probed: Probed) -> Session:
        return replace(
            self._machine.session(self._settings.coordinator.name),
            queues={name: queue.slots for name, queue in self._settings.queues.items()},
            kinds={kind: seen.version for kind, seen in probed.kinds.items()},
            problems=probed.problems,
        )


def serve(settings: Settings) -> None:
    """Run this host's coordinator in the foreground: SIGTERM or SIGINT drain it, a second one hands back at once.

    A fresh SQLite database is migrated; PostgreSQL is not (`heavyjobs migrate`).

    Raises:
        HeavyjobsError: it cannot begin; says where, what and what would do.
    """
    journal.set_up(settings.log.format, settings.log.level)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_store(settings.database.url, options_of(settings.database)) as store:
        await prepare_schema(store)
        coordinator = Coordinator(settings, store)
        with _signals(coordinator):
            await coordinator.run()


@contextmanager
def _signals(coordinator: Coordinator) -> Generator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, coordinator.stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
