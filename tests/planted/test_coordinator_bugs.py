"""The simulation finds what it is there for: each bug here is planted into the coordinator, and some seed must turn red.

A plant that is not found says that the simulation is too weak, not that the bug is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from heavyjobs.coordinator import session as sessions
from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Batch, Relay
from heavyjobs.coordinator.session import Work
from heavyjobs.coordinator.silence import Silence
from heavyjobs.coordinator.ticking import Ticking
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import ClaimKey, Ending, Move, after
from heavyjobs.store.protocol import Claimed, End, LogChunk, Recorded, SessionSeen, Tick
from tests.planted.planting import planted_attribute
from tests.simulation.simulation import Mode, simulate

pytestmark = pytest.mark.long

COORDINATOR: Final = "heavyjobs.coordinator"
SEEDS: Final = range(300)
"""Of each mode every run of the tests takes the first hundred. When these were written each bug was seen in them; which seeds
show what changes with every change of the code, so the search goes on a little."""

SAFETY, LIVENESS = Mode

right_renew: Final = Lease.renew
right_heed: Final = Ticking._heed
right_look: Final = Silence.look
right_ended: Final = Relay.ended
right_after: Final = after
right_close: Final = Invocation._close


# -- time


def lease_from_the_end_of_the_tick(self: Lease, tick_began: float) -> None:
    right_renew(self, self._now())


def lease_thrice_as_long(self: Lease, tick_began: float) -> None:
    right_renew(self, tick_began + 2 * self._seconds)


def lapse_that_nobody_sees(self: Lease) -> float:
    return 1.0


def silence_that_outlives_own_deafness(self: Silence, now: float, others: Sequence[SessionSeen], **how: Any) -> Any:
    self._looked_at = None
    return right_look(self, now, others, **how)


def silence_since_first_seen(self: Silence, now: float, others: Sequence[SessionSeen], **how: Any) -> Any:
    for other in others:
        if sight := self._sights.get(other.id):
            self._sights[other.id] = replace(sight, tick=other.tick)
    return right_look(self, now, others, **how)


# -- claims


async def nothing_adopted(self: object) -> None:
    pass


def adopted_although_settled(self: Dispatch, by_the_database: Iterable[Claimed], settled_meanwhile: set[ClaimKey]) -> None:
    known = self.claims()
    self.take(job for job in by_the_database if job.claim not in known)


# -- cancels, due jobs, drains


def cancels_heard_by_wake_up_alone(self: Ticking, tick: Tick) -> None:
    right_heed(self, tick if self._now.is_set() else replace(tick, cancels=()))


async def due_jobs_promoted_by_wake_up_alone(self: Work) -> None:
    while True:
        self._schedule_now.clear()
        try:
            moved, _ = await self._store.promote(limit=sessions.PROMOTE_LIMIT)
        except StoreUnavailable:
            continue
        if moved:
            self._claim_now.set()
        await self._schedule_now.wait()


def drained_without_handing_back(self: Dispatch, *, hurry: bool) -> None:
    pass


async def drained_at_once(self: Work, claiming: asyncio.Task[None]) -> None:
    await self._draining.wait()
    await claiming


def charged_for_a_drain(ending: Ending, **what: Any) -> Move:
    move = right_after(ending, **what)
    return replace(move, charged=True) if ending is Ending.HANDED_BACK else move


# -- what is written


async def written_once_or_never(self: Relay, batch: Batch) -> Recorded:
    try:
        return await self._store.record(self._session, progress=batch.progress, logs=batch.logs, ends=batch.ends)
    except StoreUnavailable:
        return Recorded(lost=frozenset(), ended={})


async def lost_when_unsure(self: Relay, batch: Batch) -> Recorded:
    try:
        return await self._store.record(self._session, progress=batch.progress, logs=batch.logs, ends=batch.ends)
    except StoreUnavailable:
        return Recorded(lost=frozenset(end.progress.claim for end in batch.ends), ended={})


def outcome_before_its_last_lines(self: Relay, end: End, logs: Sequence[LogChunk] = ()) -> None:
    right_ended(self, end)


# -- what is stopped


async def never_forced(self: object) -> None:
    pass


def unread_after_a_flood(self: Any, came: Any, *, worn: bool) -> None:
    resume, self.worker.resume = self.worker.resume, lambda: None
    try:
        right_close(self, came, worn=worn)
    finally:
        self.worker.resume = resume


@dataclass(frozen=True, slots=True)
class Bug:
    """A plant.

    Attributes:
        place: what is replaced by what is wrong.
        seeds: that have shown it, tried first.
    """

    place: str
    wrong: object
    mode: Mode
    seeds: Collection[int] = ()


BUGS: Final = {
    "lease counted from the end of the tick": Bug("lease.Lease.renew", lease_from_the_end_of_the_tick, SAFETY, (32,)),
    "a lease thrice as long as the others believe": Bug("lease.Lease.renew", lease_thrice_as_long, SAFETY, (9,)),
    "a lapsed lease that nobody looks at": Bug("lease.Lease.look", lapse_that_nobody_sees, LIVENESS, (31,)),
    "silence judged while own ticks fail": Bug("silence.Silence.look", silence_that_outlives_own_deafness, LIVENESS, (42,)),
    "silence counted since the first sight": Bug("silence.Silence.look", silence_since_first_seen, SAFETY, (0, 2)),
    "a claim whose answer was lost is not looked for": Bug("claiming.Claiming._adopt", nothing_adopted, LIVENESS, (8, 23, 27)),
    "a job that has just ended is adopted": Bug("dispatch.Dispatch.adopt", adopted_although_settled, SAFETY, (2, 9, 13)),
    "cancels heard by wake-up alone": Bug("ticking.Ticking._heed", cancels_heard_by_wake_up_alone, LIVENESS, (0, 5, 6)),
    "due jobs promoted by wake-up alone": Bug("session.Work._schedule", due_jobs_promoted_by_wake_up_alone, LIVENESS, (0, 1)),
    "a drain that hands nothing back": Bug("dispatch.Dispatch.hand_back", drained_without_handing_back, LIVENESS, (28, 34, 36)),
    "a drain that does not wait": Bug("session.Work._drained", drained_at_once, SAFETY, (0, 1)),
    "an attempt charged for a drain": Bug("invocation.after", charged_for_a_drain, SAFETY, (1, 7, 8)),
    "an outcome that is not written again": Bug("relay.Relay._record", written_once_or_never, SAFETY, (2, 13, 18)),
    "a write without an answer taken for a lost claim": Bug("relay.Relay._record", lost_when_unsure, SAFETY, (2, 13, 18)),
    "an outcome before its last lines": Bug("relay.Relay.ended", outcome_before_its_last_lines, SAFETY, (0, 1)),
    "a job that does not listen is left to run": Bug("invocation.Invocation._force", never_forced, LIVENESS, (1, 5, 12)),
    "a lane left unread after a flood": Bug("invocation.Invocation._close", unread_after_a_flood, LIVENESS, (112,)),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "bug", [pytest.param(bug, id=name, marks=pytest.mark.planted(f"coordinator: {name}")) for name, bug in BUGS.items()]
)
def test_the_simulation_finds(bug: Bug) -> None:
    with planted_attribute(f"{COORDINATOR}.{bug.place}", bug.wrong):
        red = next((seed for seed in dict.fromkeys((*bug.seeds, *SEEDS)) if simulate(seed, bug.mode).broken), None)

    assert red is not None
    assert not simulate(red, bug.mode).broken, "without the bug it is green"
