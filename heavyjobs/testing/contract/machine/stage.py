"""Two databases side by side, the tried one and the reference: every verb goes to both, and both must look alike after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, cast
from uuid import UUID

from heavyjobs.errors import HeavyjobsError, StoreUnavailable
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Claimed
from heavyjobs.testing.contract.machine import invariants
from heavyjobs.testing.contract.machine.comparing import differences, plain
from heavyjobs.testing.contract.machine.picture import BLANK, Picture, taken
from heavyjobs.testing.contract.machine.tokens import number_of
from heavyjobs.testing.reference import ReferenceDatabase, ReferenceStore
from heavyjobs.testing.reference.tables import Tables


class Backstage(Protocol):
    """What only the database's own means can do; the author of a store provides it for the database of a test."""

    def empty(self) -> None:
        """Leave nothing in the migrated database but its schema."""

    def pass_time(self, seconds: float) -> None:
        """Move every stored time back by so much, as if the database's clock had passed."""


class Clock:
    """The reference's: no two readings are the same, and it passes only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class Stage:
    """A fresh pair of databases, each with as many stores opened on it as there are processes."""

    def __init__(self, runner: asyncio.Runner, stores: Sequence[Store], backstage: Backstage) -> None:
        self._runner: Final = runner
        self._stores: Final = stores
        self._backstage: Final = backstage
        self._clock: Final = Clock()
        self._database: Final = ReferenceDatabase(self._clock)
        self._references: Final = [ReferenceStore(self._database) for _ in stores]
        self._found = BLANK
        self._right = BLANK
        backstage.empty()

    @property
    def tables(self) -> Tables:
        """The reference's, from which the next verb is drawn."""
        return self._database.tables

    def pass_time(self, seconds: float) -> None:
        self._clock.now += timedelta(seconds=seconds)
        self._backstage.pass_time(seconds)

    def both(self, process: int, verb: Callable[[Store], Awaitable[object]], *, twice: bool = False) -> None:
        """Ask both, twice as after a lost acknowledgement, and compare answers or errors, then all that can be read.

        Args:
            process: whose store is used.
        """
        for _ in range(1 + twice):
            self._runner.run(self._ask_both(process % len(self._stores), verb))

    def look_at_all(self) -> None:
        """Compare what was not read after each verb, because nothing said that it had changed."""
        self._found, self._right = BLANK, BLANK
        self._runner.run(self._look(before=BLANK))

    async def _ask_both(self, process: int, verb: Callable[[Store], Awaitable[object]]) -> None:
        before = self.tables
        found = await _answer(verb, self._stores[process])
        self._follow(found)
        right = await _answer(verb, self._references[process])
        _compare("the answer", plain(found, datetime.now(UTC)), plain(right, self._clock.now))
        await self._look(before=self._found, touched=_touched(before, self.tables))

    def _follow(self, answer: object) -> None:
        """Of jobs of one priority and depth that became ready in one transaction, any may start first."""
        claimed = cast("Sequence[object]", answer) if isinstance(answer, list | tuple) else ()
        first = [one.claim.job for one in claimed if isinstance(one, Claimed)]
        places = {job: place for place, job in enumerate(first)}
        self._database.among_equals = lambda job: places.get(job, len(places) + number_of(job))

    async def _look(self, *, before: Picture, touched: Collection[UUID] = ()) -> None:
        self._found = await taken(self._stores[0], earlier=self._found, touched=touched)
        self._right = await taken(self._references[0], earlier=self._right, touched=touched)
        _compare("the database", plain(self._found, datetime.now(UTC)), plain(self._right, self._clock.now))
        wrong = invariants.broken(before, self._found)
        assert not wrong, "\n".join(wrong)


async def _answer(verb: Callable[[Store], Awaitable[object]], store: Store) -> object:
    """What a verb answers, or the type of the error that it refuses with."""
    try:
        return await verb(store)
    except StoreUnavailable:
        raise
    except HeavyjobsError as error:
        return {"raised": type(error).__name__}


def _compare(what: str, found: object, right: object) -> None:
    if found != right:
        wrong = list(differences(found, right))
        raise AssertionError("\n".join([f"{what} differs from the reference's:", *wrong[:20]]))


def _touched(before: Tables, now: Tables) -> set[UUID]:
    """The jobs whose runs or logs are others than before."""
    runs = {claim.job for claim, each in now.invocations.items() if before.invocations.get(claim) is not each}
    return runs | {claim.job for claim, each in now.logs.items() if before.logs.get(claim) is not each}
