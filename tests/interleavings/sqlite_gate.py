"""A gate inside SQLite's own connections: its trace callback, called before each statement on the thread that runs it.

A BEGIN IMMEDIATE that found the lock taken is tried again by the store itself: whoever comes with the same first statement once
more waits for the lock, and is let in again when nobody is inside.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Collection, Sequence
from functools import cache
from typing import Final

from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.sqlite.sql import SQL
from tests.interleavings.scheduler import DEADLINE_SECONDS, Actor, Effect

_ENDS: Final = frozenset({"COMMIT", "ROLLBACK"})
_BEGINS: Final = frozenset({"BEGIN", "tick"})
"""What takes the lock; a tick is a transaction by itself."""

_LOCK: Final = frozenset({"the lock of writers"})

_FREE: Final = frozenset({"other", "wake"})


def step_of(sql: str) -> str:
    """The name of a statement of ours, its parameters filled in, or the first word of one about the transaction."""
    word = sql.split(maxsplit=1)[0].upper()
    if word in {*_ENDS, "BEGIN"}:
        return word
    # Looked up anew, for a test may have planted another text.
    return next((name for name, ours in SQL.items() if _is(sql, _fixed(ours))), "other")


@cache
def _fixed(sql: str) -> Sequence[str]:
    """What stands between the parameters."""
    return re.split(r"(?<![:\w]):\w+", sql)


@cache
def _effect(name: str, sql: str) -> Effect:
    written = frozenset(re.findall(r"(?:UPDATE|INSERT INTO)\s+heavyjobs_(\w+)", sql))
    read = frozenset(re.findall(r"heavyjobs_(\w+)", sql))
    return Effect(looks=read, touches=written | (_LOCK if name in _BEGINS | _ENDS else frozenset()))


def _is(sql: str, fixed: Sequence[str]) -> bool:
    place = len(fixed[0])
    if not sql.startswith(fixed[0]) or not sql.endswith(fixed[-1]):
        return False
    for part in fixed[1:]:
        found = sql.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


class SqliteGate:
    """Nobody waits inside SQLite: who is kept out comes back."""

    def __init__(self, actors: Sequence[Actor]) -> None:
        self._actors: Final = actors

    async def blocked(self, actors: Collection[Actor]) -> bool:
        assert actors
        return False

    async def guard(self, actor: Actor, store: SqliteStore) -> None:
        """Hold the statements of a store, on both of its connections."""
        loop = asyncio.get_running_loop()

        def hold(sql: str) -> None:
            if actor.armed and (step := step_of(sql)) not in _FREE:
                go = threading.Event()
                loop.call_soon_threadsafe(self._arrive, actor, step, go)
                assert go.wait(DEADLINE_SECONDS)

        for thread in (store._writer, store._reader):
            await thread.run(lambda db: db.set_trace_callback(hold))

    def _arrive(self, actor: Actor, step: str, go: threading.Event) -> None:
        actor.waits = (
            step == actor.last and step in _BEGINS and any(other.holds for other in self._actors if other is not actor)
        )
        if not actor.armed or (step == actor.last and not actor.waits):
            go.set()  # its play was given up meanwhile; or it is the same step: one row of many, or SQLite prepared it anew
            return
        actor.inside = step not in _BEGINS and (actor.inside or actor.last == "BEGIN") and actor.last not in _ENDS
        actor.arrive(step, _effect(step, SQL.get(step, "")), go.set, ends=step in {*_ENDS, "tick"})
