"""Judge which other sessions have fallen silent: by what this observer has seen itself, on its own clock. Pure.

No wall clock matters, and an outage of the database kills nobody: silence counts only while the observer's own ticks succeed.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from heavyjobs.store.records import SessionSeen


@dataclass(frozen=True, slots=True)
class _Sight:
    tick: int
    since: float


class Silence:
    """What one observer has seen of the others.

    Args:
        forfeit_after: seconds without a new tick that make a session dead.
        gap_max: seconds between two good ticks of our own above which all that was seen is void: we may have been the deaf one.
    """

    def __init__(self, *, forfeit_after: float, gap_max: float) -> None:
        self._forfeit_after = forfeit_after
        self._gap_max = gap_max
        self._sights: dict[UUID, _Sight] = {}
        self._looked_at: float | None = None

    def look(self, now: float, others: Sequence[SessionSeen], *, gone: Set[UUID]) -> Sequence[SessionSeen]:
        """Take in what a good tick of our own has brought; the sessions that are dead.

        Args:
            now: seconds on a clock that counts sleep, like CLOCK_BOOTTIME.
            gone: sessions whose process is known for sure to be gone (predecessors on this host and boot).
        """
        if self._looked_at is not None and now - self._looked_at > self._gap_max:
            self._sights.clear()
        self._looked_at = now
        seen = {other.id: self._sights.get(other.id) for other in others}
        self._sights = {
            other.id: sight if (sight := seen[other.id]) and sight.tick == other.tick else _Sight(other.tick, now)
            for other in others
        }
        return [other for other in others if now - self._sights[other.id].since >= self._forfeit_after or other.id in gone]
