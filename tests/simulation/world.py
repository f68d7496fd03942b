"""True time, chance and the record of what happened: one heap of events, one generator of random numbers, one trace.

Everything that a simulation does hangs on its seed: nothing here waits, and nothing here knows another time or another chance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeAlias

from tests.simulation.faults import Fault

Event: TypeAlias = tuple[float, float, int, Callable[..., object], tuple[Any, ...]]
Note: TypeAlias = tuple[float, str, tuple[object, ...]]

SHOWN_MAX_CHARS: Final = 300


@dataclass(slots=True)
class World:
    """One simulated world.

    Attributes:
        now: true seconds since its beginning.
        trace: what happened: when, to whom, what.
        faults: how many of each kind were injected.
        broken: what must never be seen, and was.
    """

    random: Random
    now: float = 0.0
    trace: list[Note] = field(default_factory=list[Note])
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    broken: list[str] = field(default_factory=list[str])
    _events: list[Event] = field(default_factory=list[Event])
    _count: int = 0

    # -- time

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Call then. What is to happen at the very same moment happens in an order that chance decides."""
        self._count += 1
        heappush(self._events, (max(when, self.now), self.random.random(), self._count, call, args))

    def after(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        self.at(self.now + seconds, call, *args)

    def run(self, until: float, *, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until then or until it is done (looked at about each second)."""
        look_at = self.now
        while self._events and self._events[0][0] <= until:
            if self._events[0][0] > look_at:
                if done():
                    return
                look_at = self._events[0][0] + 1.0
            self.now, _, _, call, args = heappop(self._events)
            call(*args)
        self.now = max(self.now, until)

    # -- chance

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def between(self, least: float, most: float) -> float:
        return least + (most - least) * self.random.random()

    # -- the record

    def note(self, who: str, *what: object) -> None:
        self.trace.append((self.now, who, what))

    def inject(self, kind: Fault, who: str, what: str = "") -> None:
        """A fault happens."""
        self.faults[kind] += 1
        self.note(who, "FAULT", kind, what)

    def breaks(self, what: str) -> None:
        """Something that must never be seen was seen."""
        self.broken.append(f"{self.now:.3f}: {what}")
        self.note("check", "BROKEN", what)


def told(trace: list[Note]) -> Iterator[str]:
    """The trace for people."""
    for when, who, what in trace:
        words = " ".join(str(word) for word in what if word not in (None, "", {}))
        yield f"{when:10.4f}  {who:<12}  {_ID.sub(_TAIL, words)[:SHOWN_MAX_CHARS]}"


_ID: Final = re.compile(r"(?:UUID\(')?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{6}([0-9a-f]{6})(?:'\))?")
_TAIL: Final = r"\1"

LATENCY_SECONDS: Final = (0.0005, 0.004)
"""Of one way between a host and the database when nothing is wrong."""
