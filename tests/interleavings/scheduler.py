"""Every order of the steps of some verbs, each played from the same start, as PostgreSQL's isolationtester does.

A step is one statement of the transaction that a verb runs, and its commit; so what is between a look and a write inside one
verb is an order like any other. A gate (one for each kind of database) holds every statement before the database sees it.

What this guarantees
- that one step at a time is taken, and that the next is chosen only when nobody moves: each actor has a step to take, has
  ended, or waits in the database for a lock;
- that all orders are played, each time another branch, until none is left; but of orders that differ only in which of two steps
  came first that have nothing to do with each other, one (the sleep sets of Godefroid's "Partial-Order Methods", 1996);
- that an order is a word, such as `AABBA`, which plays the same again.

What it assumes
- that verbs do the same when they see the same: no clock, no chance, decides which statements they run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

DEADLINE_SECONDS: Final = 60.0
"""Of one order. Nobody waits that long but for ever."""

LOOK_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step has to do with the steps of others, in names of tables.

    Attributes:
        looks: what it reads; a plain read sees what was committed, and waits for nobody.
        shares: what it reads, keeping those out that touch it.
        touches: what it writes or locks.
        publishes: what its transaction shared and touched until now, if the step ends it.
    """

    looks: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()
    touches: frozenset[str] = frozenset()
    publishes: frozenset[str] = frozenset()

    def commutes(self, other: Effect) -> bool:
        """Whether it makes no difference which of the two comes first."""
        return not (self._disturbs(other) or other._disturbs(self))

    def _disturbs(self, other: Effect) -> bool:
        return bool(
            self.touches & (other.shares | other.touches) or self.publishes & (other.looks | other.shares | other.touches)
        )


class Actor:
    """One session with the database, and the step that it would take next."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.step: str | None = None
        self.effect = Effect()
        self.waits = False
        """Whether its step was tried already, and found the database locked by another."""
        self.inside = False
        """Whether it holds the database's one lock for writers."""
        self.last = ""
        """The step that it took last."""
        self.task: asyncio.Task[str] | None = None
        self.stirred = asyncio.Event()
        self._written = frozenset[str]()
        self._let_go: Callable[[], None] | None = None

    @property
    def armed(self) -> bool:
        """Whether its statements are held: only while a verb is being played."""
        return self.task is not None

    @property
    def done(self) -> bool:
        return self.task is None or self.task.done()

    @property
    def holds(self) -> bool:
        """Whether it keeps other writers out."""
        return self.inside and not self.done

    @property
    def moving(self) -> bool:
        return not self.done and self.step is None

    def begin(self, stirred: asyncio.Event) -> None:
        self.stirred, self.waits, self.inside, self.last, self._written = stirred, False, False, "", frozenset()

    def arrive(self, step: str, effect: Effect, let_go: Callable[[], None], *, ends: bool) -> None:
        """Say what comes next; `let_go` lets it come.

        Args:
            ends: whether it ends a transaction.
        """
        self._written |= effect.shares | effect.touches
        self.effect = replace(effect, publishes=self._written) if ends else effect
        self._written = frozenset() if ends else self._written
        self.step, self._let_go = step, let_go
        self.stirred.set()

    def go(self) -> None:
        let_go, self.last, self.step, self._let_go, self.waits = self._let_go, self.step or self.last, None, None, False
        if let_go is not None:
            let_go()


class Gate(Protocol):
    """What is known about one kind of database."""

    async def blocked(self, actors: Collection[Actor]) -> bool:
        """Whether all of these wait in the database for a lock."""
        ...


class NothingNew(Exception):  # no error: the rest of this order was played already
    """All that could come next came next in an earlier order, with the same to follow."""


@dataclass(slots=True)
class _Fork:
    """A moment at which some actors could take a step, and one did. Those asleep would lead to what was played already."""

    effects: Mapping[str, Effect]
    asleep: frozenset[str]
    chosen: str

    def asleep_after(self) -> frozenset[str]:
        """Who need not be woken by the step that was taken."""
        return frozenset(name for name in self.asleep if self.effects[name].commutes(self.effects[self.chosen]))

    def others(self) -> list[str]:
        return [name for name in self.effects if name not in self.asleep and name != self.chosen]


class Order:
    """Which actor takes the next step: as `word` says, then the first that can."""

    def __init__(self, word: str = "", *, known: Sequence[_Fork] = ()) -> None:
        self._word: Final = word
        self._known: Final = known
        self._forks: Final[list[_Fork]] = []
        self.steps: Final[list[str]] = []

    def choose(self, ready: Sequence[Actor]) -> Actor:
        """Who of those goes next.

        Raises:
            NothingNew: what could be played from here was played already.
        """
        fork = self._fork({actor.name: actor.effect for actor in ready}, len(self._forks))
        self._forks.append(fork)
        [actor] = [actor for actor in ready if actor.name == fork.chosen]
        self.steps.append(f"{actor.name}:{actor.step}")
        return actor

    def _fork(self, effects: Mapping[str, Effect], place: int) -> _Fork:
        if place < len(self._known):
            assert effects == self._known[place].effects, (
                f"{self}: the same steps led elsewhere: {effects} {self._known[place].effects}"
            )
            return self._known[place]
        if place < len(self._word):
            assert self._word[place] in effects, f"{self._word}: after {self}, only {[*effects]} can move"
            return _Fork(effects, frozenset(), self._word[place])
        asleep = self._forks[-1].asleep_after() if self._forks else frozenset[str]()
        if awake := [name for name in effects if name not in asleep]:
            return _Fork(effects, asleep, awake[0])
        raise NothingNew

    def __str__(self) -> str:
        return "".join(fork.chosen for fork in self._forks)

    def next(self) -> Order | None:
        """The order after this one, going through all of them; None after the last."""
        for place in reversed(range(len(self._forks))):
            fork = self._forks[place]
            if others := fork.others():
                instead = _Fork(fork.effects, fork.asleep | {fork.chosen}, others[0])
                return Order(known=[*self._forks[:place], instead])
        return None


async def play(
    actors: Sequence[Actor],
    verbs: Sequence[Callable[[], Awaitable[str]]],
    gate: Gate,
    order: Order,
    *,
    after_commit: Callable[[], Awaitable[None]],
) -> list[str]:
    """Play verbs at once, one for each actor, in that order of their steps; their answers.

    Raises:
        TimeoutError: somebody waits for ever.
        AssertionError: all wait for each other, until the database ends one of them.
        NothingNew: see `Order.choose`; by the end of the call everyone has ended all the same.
    """
    stirred = asyncio.Event()
    try:
        for actor, verb in zip(actors, verbs, strict=True):
            actor.begin(stirred)
            actor.task = asyncio.ensure_future(verb())
            actor.task.add_done_callback(lambda _: stirred.set())
        async with asyncio.timeout(DEADLINE_SECONDS):
            async for ready in _moments(actors, gate, stirred):
                actor = order.choose(ready)
                actor.go()
                await _settled(actors, gate, stirred)
                if actor.effect.publishes:
                    await after_commit()
        return [actor.task.result() for actor in actors if actor.task is not None]
    finally:
        await _dismiss(actors)


async def _moments(actors: Sequence[Actor], gate: Gate, stirred: asyncio.Event) -> AsyncIterator[list[Actor]]:
    """Each time that nobody moves, those who could."""
    await _settled(actors, gate, stirred)
    while not all(actor.done for actor in actors):
        ready = [actor for actor in actors if actor.step is not None and not _kept_out(actor, actors)]
        assert ready, "they wait for each other"
        yield ready


def _kept_out(actor: Actor, actors: Sequence[Actor]) -> bool:
    return actor.waits and any(other.holds for other in actors if other is not actor)


async def _settled(actors: Sequence[Actor], gate: Gate, stirred: asyncio.Event) -> None:
    while moving := [actor for actor in actors if actor.moving]:
        stirred.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stirred.wait()
        except TimeoutError:
            # Twice, because one answer is not of one moment for all of them.
            if await gate.blocked(moving) and await gate.blocked(moving) and not stirred.is_set():
                return
    stirred.clear()


async def _dismiss(actors: Sequence[Actor]) -> None:
    """Let everyone go on by itself, and wait for it."""
    tasks = [actor.task for actor in actors if actor.task is not None]
    for actor in actors:
        actor.task = None
        actor.go()
    await asyncio.gather(*tasks, return_exceptions=True)
