"""Bring claimed jobs to workers, and what comes of them to the relay.

take ──▶ waiting ──▶ running ──▶ unwritten ──▶ (settled)
         for a       Invocation   its End is
         worker                   on its way
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeAlias
from uuid import UUID

from heavyjobs import events
from heavyjobs.coordinator import journal
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Relay
from heavyjobs.coordinator.wants import Held, held_of
from heavyjobs.events import Stop
from heavyjobs.model import Bill, Cause, ClaimKey, Ending, JobState, Move, short_id
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.store.records import CancelOrder, Claimed, End, Progress, Recorded

LANE_DEATHS_FORGIVEN: Final = 3
"""How often a job may be on a lane that goes down, nobody being known to have done it, before it is charged for that."""

FORGIVEN_JOBS_MAX: Final = 10_000
"""Of so many jobs at most it is known how often that was; those that have been forgiven first are forgotten first."""

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], None]


class Dispatch:
    """All that one session holds.

    Args:
        on_lane: the kinds that are an `async def`.
        log_bytes: kept of one invocation's log.
        spawn: starts a task that the session owns.
        room: called when something could be claimed again.
        out_of_memory_kills: how often this machine's kernel has killed for lack of memory by now.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        lane: LaneKeeper,
        relay: Relay,
        lease: Lease,
        families: Families,
        on_lane: frozenset[str],
        log_bytes: int,
        spawn: Spawn,
        room: Callable[[], None],
        out_of_memory_kills: Callable[[], int],
    ) -> None:
        self.running: Final[dict[ClaimKey, Invocation]] = {}
        self._waiting: Final[deque[Claimed]] = deque()
        self._unwritten: Final[dict[ClaimKey, tuple[Claimed, End]]] = {}
        self._lane_deaths: Final[Counter[UUID]] = Counter()
        self._seen_settled: set[ClaimKey] | None = None
        self._pool = pool
        self._lane = lane
        self._relay = relay
        self._lease = lease
        self._families = families
        self._on_lane = on_lane
        self._log_bytes = log_bytes
        self._spawn = spawn
        self._room = room
        self.out_of_memory_kills: Final = out_of_memory_kills
        self.empty: Final = asyncio.Event()
        self.empty.set()

    # -- what is held

    def claims(self) -> set[ClaimKey]:
        """Every claim that this session should hold by its own account."""
        return {*self.running, *self._unwritten, *(job.claim for job in self._waiting)}

    def held(self) -> list[Held]:
        """What counts against bounds now."""
        waiting = [held_of(job, lane=job.kind in self._on_lane, waiting=False) for job in self._waiting]
        return [*(invocation.held() for invocation in self.running.values()), *waiting]

    # -- the way in

    def take(self, claimed: Iterable[Claimed]) -> None:
        """Start these jobs, as soon as there are workers for them."""
        for job in claimed:
            self._waiting.append(job)
        self.pump()

    def pump(self) -> None:
        """Bring waiting jobs to workers that are free; none any more when the lease has lapsed, for others may take them."""
        if not self._lease.holds:
            return
        kills = self.out_of_memory_kills() if self._waiting else 0
        for _ in range(len(self._waiting)):
            job = self._waiting.popleft()
            worker = self._worker_for(job)
            if worker is None:
                self._waiting.append(job)
            else:
                self._start(job, worker, kills_before=kills)
        self._note_empty()

    def _worker_for(self, job: Claimed) -> WorkerProcess | None:
        if job.kind in self._on_lane:
            return self._lane.worker
        return self._pool.take() if self._pool.idle else None

    def _start(self, job: Claimed, worker: WorkerProcess, *, kills_before: int) -> None:
        invocation = Invocation(job, worker, self, log_bytes=self._log_bytes, kills_before=kills_before)
        self.running[job.claim] = invocation
        invocation.begin()
        journal.say(
            "started",
            level="DEBUG",
            job=job.claim.job,
            kind=job.kind,
            attempt=job.attempt,
            claim=job.claim.number,
            on=worker.name,
        )

    # -- the way out (the desk of invocations)

    @property
    def holds(self) -> bool:
        return self._lease.holds

    def news(self, invocation: Invocation) -> None:
        if invocation.stop is not Stop.LOST:
            self._relay.news(invocation)

    def asked(self, invocation: Invocation, asked: events.Asked) -> None:
        self._spawn(self._families.answer(invocation, asked), f"answering {invocation.claimed.kind}")

    def forgives(self, invocation: Invocation) -> bool:
        job = invocation.claimed.claim.job
        if len(self._lane_deaths) >= FORGIVEN_JOBS_MAX and job not in self._lane_deaths:
            del self._lane_deaths[next(iter(self._lane_deaths))]  # another coordinator may have had it to its end
        self._lane_deaths[job] += 1
        return self._lane_deaths[job] <= LANE_DEATHS_FORGIVEN

    def brought_down(self, worker: WorkerProcess, step: int) -> None:
        for invocation in [*self.running.values()]:
            if invocation.worker is worker and invocation.reference == step:
                for other in self._above(invocation):
                    other.blamed = other.worker is worker

    def forced(self, invocation: Invocation) -> None:
        above = self._above(invocation) if invocation.stop in {Stop.TIMEOUT, Stop.MEMORY} else []
        for other in self.running.values():
            if other.worker is invocation.worker and other.stop is None:
                if other in above:
                    other.blamed = True
                else:
                    other.stop = Stop.NEIGHBOUR

    def _above(self, invocation: Invocation) -> list[Invocation]:
        """Those running here that spawned it, directly or not."""
        by_job = {claim.job: other for claim, other in self.running.items()}
        above: list[Invocation] = []
        while (parent := invocation.claimed.parent) is not None and (spawner := by_job.get(parent)) is not None:
            above.append(spawner)
            invocation = spawner
        return above

    def finished(self, invocation: Invocation, *, worn: bool) -> None:
        claim = invocation.claimed.claim
        del self.running[claim]
        if invocation.end is None or invocation.end.move.state.ended:
            self._lane_deaths.pop(claim.job, None)  # not at every charge: its budget would be that many times as large
        if invocation.end is None:
            self._relay.forget(claim)
        else:
            self._unwritten[claim] = (invocation.claimed, invocation.end)
            self._relay.ended(invocation.end, invocation.log.take())
        if not invocation.worker.lane:
            self._pool.give_back(invocation.worker, worn=worn)
        self._room()
        self._note_empty()

    def settled(self, recorded: Recorded) -> None:
        """A batch was written: what ended is done with, what is lost is stopped."""
        for claim, state in recorded.ended.items():
            if (written := self._unwritten.pop(claim, None)) is not None:
                self._note_settled(claim)
                _tell(*written, state)
        for claim in recorded.lost:
            if self._unwritten.pop(claim, None) is not None:
                journal.say("lost before its end was written", level="WARNING", job=claim.job)
            self.lose(claim)
        self._note_empty()

    def lose(self, claim: ClaimKey) -> None:
        """The claim is another's now: end its tree at once, write nothing more.

        Not what has ended here: its end may just have been written, and whoever writes it hears what became of it.
        """
        for job in [job for job in self._waiting if job.claim == claim]:
            self._waiting.remove(job)
        if (invocation := self.running.get(claim)) is not None and invocation.stop is not Stop.LOST:
            journal.say("lost", level="WARNING", job=claim.job, kind=invocation.claimed.kind)
            invocation.stop = None
            self._spawn(invocation.halt(Stop.LOST, grace_seconds=0), f"dropping {short_id(claim.job)}")
        self._note_empty()

    def abandon(self) -> None:
        """The lease has lapsed: drop what waits for a worker, others may start it."""
        self._waiting.clear()
        self._note_empty()

    # -- stopping

    def cancel(self, order: CancelOrder) -> None:
        """A cancel was requested of something held."""
        if (invocation := self.running.get(order.claim)) is not None:
            if invocation.stop is None:
                grace = order.grace_seconds
                if grace is None:
                    grace = invocation.claimed.policy.grace_seconds
                self._spawn(invocation.halt(Stop.CANCEL, grace_seconds=grace), f"cancelling {short_id(order.claim.job)}")
                return
            if invocation.stop in {Stop.DRAIN, Stop.TIMEOUT}:
                invocation.cancelled_as_well()
            if order.grace_seconds == 0:
                invocation.hurry()
        else:
            self._give_up({order.claim}, Ending.CANCELLED, JobState.CANCELLED)

    def hand_back(self, *, hurry: bool) -> None:
        """Stop all that runs, and give it back without charge; with `hurry` without grace, what is stopping already too."""
        self._give_up({job.claim for job in self._waiting}, Ending.HANDED_BACK, JobState.READY)
        for claim, invocation in [*self.running.items()]:
            if invocation.stop is None:
                grace = 0 if hurry else invocation.claimed.policy.grace_seconds
                self._spawn(invocation.halt(Stop.DRAIN, grace_seconds=grace), f"handing back {short_id(claim.job)}")
            elif hurry:
                invocation.hurry()

    def _give_up(self, claims: set[ClaimKey], ending: Ending, state: JobState) -> None:
        """End what has not reached a worker yet."""
        for job in [job for job in self._waiting if job.claim in claims]:
            self._waiting.remove(job)
            progress = Progress(claim=job.claim, slot="", started_ago_seconds=None, status=None, bill=Bill())
            cause = Cause(ending, f"{ending} before it started")
            end = End(progress=progress, ending=ending, move=Move(state, charged=False), cause=cause)
            self._unwritten[job.claim] = (job, end)
            self._relay.ended(end)
        self._note_empty()

    # -- finding claims whose answer was lost

    def watch_settling(self) -> set[ClaimKey]:
        """From now on, collects what is settled, until called again; see `adopt`."""
        self._seen_settled = set()
        return self._seen_settled

    def adopt(self, by_the_database: Iterable[Claimed], settled_meanwhile: set[ClaimKey]) -> None:
        """Start what the database says we hold and we do not know of: a claim whose answer never came.

        What was settled since the database was asked is none of these.
        """
        self._seen_settled = None
        known = self.claims() | settled_meanwhile
        self.take(job for job in by_the_database if job.claim not in known)

    def _note_settled(self, claim: ClaimKey) -> None:
        if self._seen_settled is not None:
            self._seen_settled.add(claim)

    def _note_empty(self) -> None:
        if self.running or self._waiting or self._unwritten:
            self.empty.clear()
        else:
            self.empty.set()


_TOLD: Final = {JobState.SCHEDULED: "failed, to be tried again", JobState.READY: "handed back"}


def _tell(job: Claimed, end: End, state: JobState) -> None:
    journal.say(
        _TOLD.get(state, str(state)),
        level="INFO" if state in {JobState.SUCCEEDED, JobState.READY, JobState.CANCELLED} else "WARNING",
        job=job.claim.job,
        kind=job.kind,
        attempt=job.attempt,
        attempts=job.policy.attempts,
        seconds=round(end.progress.bill.wall_seconds, 3),
        cause=end.cause and end.cause.message,
    )
