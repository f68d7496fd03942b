"""The simulation finds what it is there for: each bug here is planted into the coordinator, and some seed must turn red.

A plant that is not found says that the simulation is too weak, not that the bug is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
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
from heavyjobs.store.records import Claimed, End, LogChunk, Recorded, SessionSeen, Tick
from tests.planted.planting import planted_attribute
from tests.simulation import plots
from tests.simulation.scripts import Script
from tests.simulation.simulation import Mode, Report, rehearse, simulate, stage_plot

pytestmark = pytest.mark.long

COORDINATOR: Final = "heavyjobs.coordinator"
SEEDS: Final = range(300)
"""Which of them show what changes with every change of the code. What chance alone would rarely show has a world of its own, in
which several of twenty show it."""

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


def safety(seed: int) -> Report:
    return simulate(seed, Mode.SAFETY)


def liveness(seed: int) -> Report:
    return simulate(seed, Mode.LIVENESS)


def late_last_words(seed: int) -> Report:
    return stage_plot(plots.late_last_words, seed)


def deaf_observers(seed: int) -> Report:
    return stage_plot(plots.deaf_observers, seed)


def unheard_claims(seed: int) -> Report:
    jobs = [Script([["work", seconds]], lane=True) for seconds in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)]
    return rehearse([*jobs, *jobs], seed=seed, plot=plots.unheard_claims)


def floods(seed: int) -> Report:
    """Many, for it shows where the end of one is read together with its last line."""
    flooding = [Script([["log", 5], ["flood"]], lane=True) for _ in range(12)]
    others = [Script([["work", 0.5], ["log", 2], ["work", 1.0]], lane=True) for _ in range(2)]
    return rehearse([*flooding, *others], seed=seed)


@dataclass(frozen=True, slots=True)
class Bug:
    """A plant.

    Attributes:
        place: what is replaced by what is wrong.
        world: in which it shows, by a seed.
    """

    place: str
    wrong: object
    world: Callable[[int], Report]


BUGS: Final = {
    "lease counted from the end of the tick": Bug("lease.Lease.renew", lease_from_the_end_of_the_tick, late_last_words),
    "a lease thrice as long as the others believe": Bug("lease.Lease.renew", lease_thrice_as_long, safety),
    "a lapsed lease that nobody looks at": Bug("lease.Lease.look", lapse_that_nobody_sees, liveness),
    "silence judged while own ticks fail": Bug("silence.Silence.look", silence_that_outlives_own_deafness, deaf_observers),
    "silence counted since the first sight": Bug("silence.Silence.look", silence_since_first_seen, safety),
    "a claim whose answer was lost is not looked for": Bug("claiming.Claiming._adopt", nothing_adopted, unheard_claims),
    "a job that has just ended is adopted": Bug("dispatch.Dispatch.adopt", adopted_although_settled, unheard_claims),
    "cancels heard by wake-up alone": Bug("ticking.Ticking._heed", cancels_heard_by_wake_up_alone, liveness),
    "due jobs promoted by wake-up alone": Bug("session.Work._schedule", due_jobs_promoted_by_wake_up_alone, liveness),
    "a drain that hands nothing back": Bug("dispatch.Dispatch.hand_back", drained_without_handing_back, liveness),
    "a drain that does not wait": Bug("session.Work._drained", drained_at_once, safety),
    "an attempt charged for a drain": Bug("invocation.after", charged_for_a_drain, safety),
    "an outcome that is not written again": Bug("relay.Relay._record", written_once_or_never, safety),
    "a write without an answer taken for a lost claim": Bug("relay.Relay._record", lost_when_unsure, safety),
    "an outcome before its last lines": Bug("relay.Relay.ended", outcome_before_its_last_lines, safety),
    "a job that does not listen is left to run": Bug("invocation.Invocation._force", never_forced, liveness),
    "a lane left unread after a flood": Bug("invocation.Invocation._close", unread_after_a_flood, floods),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "bug", [pytest.param(bug, id=name, marks=pytest.mark.planted(f"coordinator: {name}")) for name, bug in BUGS.items()]
)
def test_the_simulation_finds(bug: Bug) -> None:
    with planted_attribute(f"{COORDINATOR}.{bug.place}", bug.wrong):
        red = next((seed for seed in SEEDS if bug.world(seed).broken), None)

    assert red is not None
    assert not bug.world(red).broken, "without the bug it is green"
