"""The database as one process reaches it: over a network that delays, loses and cuts, with an end to its patience.

The database itself is the reference store: each verb is applied at one moment of true time, whole or not at all, wherever the
process that asked for it is by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, cast

from heavyjobs.errors import HeavyjobsError, StoreUnavailable
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Topic, WakeUp
from heavyjobs.testing.reference import ReferenceDatabase, ReferenceStore
from tests.simulation.faults import Fault
from tests.simulation.loop import ProcessLoop
from tests.simulation.timing import FASTEST
from tests.simulation.world import LATENCY_SECONDS, World

TIMEOUT_SECONDS: Final = 3.0
"""After it a call is given up."""

LATE_MAX_SECONDS: Final = 4.0
"""How long after it was given up a call may still be applied."""


@dataclass(frozen=True, slots=True)
class Call:
    """A verb that was applied.

    Attributes:
        sent_at: true time.
        certain: whether its answer is sure to be heard.
    """

    verb: str
    args: tuple[Any, ...]
    named: dict[str, Any]
    answer: object
    loop: ProcessLoop
    sent_at: float
    certain: bool


Applied: TypeAlias = Callable[[Call], None]


@dataclass(slots=True)
class Network:
    """What may go wrong between all processes and the database, as probabilities of each call or hint.

    Attributes:
        last_word_patience: how late such an answer comes, in parts of the time after which a call is given up.
        fates: what becomes of every call of a verb, whatever the probabilities say.
    """

    refused: float = 0.0
    lost_answer: float = 0.0
    slow: float = 0.0
    last_word: float = 0.0
    last_word_patience: tuple[float, float] = (0.7, 0.9)
    late_commit: float = 0.0
    conflict: float = 0.0
    hint_lost: float = 0.0
    hint_late: float = 0.0
    hint_twice: float = 0.0
    listener_lost: float = 0.0
    hints: bool = True
    siege: bool = False
    fates: Mapping[str, tuple[str, Fault]] = field(default_factory=dict[str, tuple[str, Fault]])


class Reached:
    """A store, as one process reaches it.

    Args:
        applied: told of each verb that was applied.
    """

    def __init__(self, database: ReferenceDatabase, loop: ProcessLoop, network: Network, *, applied: Applied) -> None:
        self.url: Final = "simulated"
        self._database = database
        self._store = ReferenceStore(database)
        self._loop = loop
        self._world: Final[World] = loop.world
        self._network = network
        self._applied = applied

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        if verb.startswith("_") or not hasattr(ReferenceStore, verb):
            raise AttributeError(verb)
        return lambda *args, **named: self._call(verb, args, named)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    # -- one call

    async def _call(self, verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        answer: asyncio.Future[Any] = self._loop.create_future()
        timer = self._loop.call_later(TIMEOUT_SECONDS, self._give_up, verb, answer)
        self._send(verb, args, named, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    def _give_up(self, verb: str, answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_exception(StoreUnavailable(f"{verb}: no answer in {TIMEOUT_SECONDS} s"))

    def _send(self, verb: str, args: tuple[Any, ...], named: dict[str, Any], answer: asyncio.Future[Any]) -> None:
        """Decide the fate of a call."""
        way, fate = self._way(), self._fate(verb)
        if fate in {"refused", "conflict"} or self._loop.computer.cut_off:
            if fate == "conflict" or self._world.chance(0.7):
                self._world.after(2 * way, self._refuse, verb, answer, fate)
            return  # the rest hears nothing at all
        if fate == "slow" and self._world.chance(0.5):
            fate = "slow answer"
        if fate == "slow":
            way = self._world.between(0.2, TIMEOUT_SECONDS)
        if fate == "late commit":
            way = TIMEOUT_SECONDS * 1.12 + self._world.between(0.0, LATE_MAX_SECONDS)
        self._world.after(way, self._apply, verb, args, named, answer, fate, self._world.now)

    def _fate(self, verb: str) -> str | None:
        network, at = self._network, self._world.random.random()
        if certain := network.fates.get(verb):
            fate, kind = certain
            self._world.inject(kind, self._loop.name, verb)
            return fate
        spared = network.siege and not self._loop.computer.besieged
        for fate, probability, kind in (
            ("refused", network.refused, Fault.REFUSED),
            ("conflict", network.conflict, Fault.CONFLICT),
            ("lost answer", network.lost_answer, Fault.LOST_ANSWER),
            ("slow", 0.0 if spared else network.slow, Fault.SLOW),
            ("late commit", network.late_commit, Fault.LATE_COMMIT),
        ):
            if at < probability:
                self._world.inject(kind, self._loop.name, verb)
                return fate
            at -= probability
        return None

    def _way(self) -> float:
        return self._world.between(*LATENCY_SECONDS)

    def _apply(
        self,
        verb: str,
        args: tuple[Any, ...],
        named: dict[str, Any],
        answer: asyncio.Future[Any],
        fate: str | None,
        sent_at: float,
    ) -> None:
        result: Any = None
        error: HeavyjobsError | None = None
        try:
            result = _at_once(getattr(self._store, verb)(*args, **named))
        except HeavyjobsError as refusal:
            error = refusal
        self._world.note(self._loop.name, verb, *args, named, error)
        if error is None:
            in_time = self._world.now - sent_at < TIMEOUT_SECONDS / FASTEST - 0.1
            certain = fate in {None, "slow"} and in_time and not self._loop.computer.cut_off
            self._applied(Call(verb, args, named, result, self._loop, sent_at, certain))
        way = self._world.between(0.2, TIMEOUT_SECONDS) if fate == "slow answer" else self._way()
        if verb == "tick" and self._loop.computer.besieged and self._world.chance(self._network.last_word):
            way = self._world.between(*self._network.last_word_patience) * TIMEOUT_SECONDS
            self._world.after(way + 0.001, self._cut_off)
        if self._loop.computer.cut_off or fate == "late commit":
            return
        if fate == "lost answer":
            self._world.after(way, self._refuse, verb, answer, fate)
        else:
            self._world.after(way, self._loop.post, self._settle, answer, result, error)

    def _cut_off(self) -> None:
        """After a late word nothing more: the worst moment."""
        seconds = self._world.between(10.0, 25.0)
        self._world.inject(Fault.CUT_OFF, self._loop.name, f"{seconds:.1f} s, after a late answer to a tick")
        computer = self._loop.computer
        computer.network_until = max(computer.network_until, self._world.now + seconds)

    def _refuse(self, verb: str, answer: asyncio.Future[Any], fate: str | None) -> None:
        error = StoreUnavailable(f"{verb}: {fate or 'cut off'}")
        self._loop.post(self._settle, answer, None, error)

    @staticmethod
    def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    # -- hints

    @asynccontextmanager
    async def wakeups(self, topics: Collection[Topic]) -> AsyncGenerator[AsyncIterator[WakeUp]]:
        if self._loop.computer.cut_off:
            await asyncio.sleep(0.1)
            raise StoreUnavailable("the listener cannot connect")
        hints: asyncio.Queue[WakeUp | None] = asyncio.Queue()

        def tell(topic: Topic) -> None:
            if topic in topics and not self._loop.dead:
                self._carry(hints, WakeUp(topic))

        self._database.listeners.append(tell)
        try:
            yield _taken(hints)
        finally:
            self._database.listeners.remove(tell)

    def _carry(self, hints: asyncio.Queue[WakeUp | None], hint: WakeUp) -> None:
        network, world, who = self._network, self._world, self._loop.name
        if self._loop.computer.cut_off or not network.hints:
            return
        if world.chance(network.listener_lost):
            world.inject(Fault.LISTENER_LOST, who)
            world.after(0.01, self._loop.post, hints.put_nowait, None)
            return
        if world.chance(network.hint_lost):
            world.inject(Fault.HINT_LOST, who, hint.topic)
            return
        way = self._way()
        if world.chance(network.hint_late):
            world.inject(Fault.HINT_LATE, who, hint.topic)
            way = world.between(0.5, 5.0)
        times = 1
        if world.chance(network.hint_twice):
            world.inject(Fault.HINT_TWICE, who, hint.topic)
            times = 2
        for _ in range(times):
            world.after(way, self._loop.post, hints.put_nowait, hint)


async def _taken(hints: asyncio.Queue[WakeUp | None]) -> AsyncIterator[WakeUp]:
    while (hint := await hints.get()) is not None:
        yield hint
    raise StoreUnavailable("the listener's connection is gone")


def _at_once(verb: Coroutine[Any, Any, Any]) -> Any:
    """The answer of a verb of the reference store, which waits for nothing."""
    try:
        verb.send(None)
    except StopIteration as answer:
        return answer.value
    raise AssertionError("the reference store waits for something")


def as_store(reached: Reached) -> Store:
    """It has every verb, by `__getattr__`."""
    return cast("Store", reached)
