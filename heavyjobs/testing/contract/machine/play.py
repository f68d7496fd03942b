"""The verbs, asked of both databases in small words: jobs and sessions are numbers, a claim is (job, claim number)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias
from uuid import UUID

from heavyjobs.model import JobState
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Changes, Filter
from heavyjobs.testing.contract.machine.records import ends_of, logs_of, progress_of
from heavyjobs.testing.contract.machine.stage import Stage
from heavyjobs.testing.contract.machine.tokens import (
    GRAIN_SECONDS,
    Claim,
    Deed,
    New,
    Wanted,
    a_session,
    claim_key,
    claim_of,
    job_id,
    session_id,
)
from heavyjobs.values import JsonText

Verb: TypeAlias = Callable[[Store], Awaitable[object]]

_CLIENT: Final = 0
"""The process of clients; each session's number says which is its coordinator's."""


class Play:
    """What can happen on a stage. `twice` repeats a write as after a lost acknowledgement."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Final = stage

    # -- sessions

    def register(self, *, session: int, kinds: int = 1) -> None:
        self._ask(session, lambda store: store.register(a_session(session, kinds=kinds)))

    def tick(self, *, session: int, held: Sequence[Claim] = ()) -> None:
        self._ask(session, lambda store: store.tick(session_id(session), [claim_key(claim) for claim in held]))

    def forfeit(self, *, observer: int, session: int, stale: int = 0, jitter: int = 0, twice: bool = False) -> None:
        """`stale` is by how much the observer's tick number is off."""
        seen = self._stage.tables.sessions.get(session_id(session))
        tick = (0 if seen is None else seen.tick) + stale

        async def verb(store: Store) -> object:
            lost = await store.forfeit(session_id(observer), session=session_id(session), tick=tick, jitter=float(jitter))
            return None if lost is None else sorted(lost)

        self._ask(observer, verb, twice=twice)

    def end_session(self, *, session: int) -> None:
        self._ask(session, lambda store: store.end_session(session_id(session)))

    def drain(self, *, sessions: Sequence[int], twice: bool = False) -> None:
        self._ask(_CLIENT, lambda store: store.drain([session_id(each) for each in sessions]), twice=twice)

    # -- the life of a job

    def submit(self, *, jobs: Sequence[New], twice: bool = False) -> None:
        self._ask(_CLIENT, lambda store: store.submit([job.request() for job in jobs]), twice=twice)

    def promote(self, *, limit: int = 100) -> None:
        async def verb(store: Store) -> object:
            moved, seconds = await store.promote(limit=limit)
            # To a grain, as all times; 0 or less says that more are due.
            return moved, None if seconds is None else max(0, round(seconds / GRAIN_SECONDS + 0.25))

        self._ask(_CLIENT, verb)

    def claim(self, *, session: int, wanted: Wanted, twice: bool = False) -> None:
        async def verb(store: Store) -> object:
            return await store.claim(
                session_id(session),
                wanted.wants(),
                cpus=wanted.cpus,
                memory_bytes=wanted.memory,
                host=f"host-{session}",
            )

        self._ask(session, verb, twice=twice)

    def begin(self, *, session: int, jobs: Sequence[New] = (), unstarted: bool = False) -> None:
        """Submit jobs, claim all that is ready, and mostly say that it started: the short way to where most can happen."""
        if jobs:
            self.submit(jobs=jobs)
        self.claim(session=session, wanted=Wanted(version=3))
        held = [Deed(claim=claim_of(job.claim), started=True) for job in self._stage.tables.held(session_id(session))]
        if held and not unstarted:
            self.record(session=session, deeds=held)

    def record(self, *, session: int, deeds: Sequence[Deed], twice: bool = False) -> None:
        tables = self._stage.tables
        progress, logs, ends = progress_of(tables, deeds), logs_of(tables, deeds), ends_of(tables, deeds)
        self._ask(
            session,
            lambda store: store.record(session_id(session), progress=progress, logs=logs, ends=ends),
            twice=twice,
        )

    def checkpoint(self, *, session: int, claim: Claim, data: str) -> None:
        self._ask(session, lambda store: store.checkpoint(session_id(session), claim_key(claim), JsonText(data)))

    def holds(self, *, session: int, claim: Claim) -> None:
        self._ask(session, lambda store: store.holds(session_id(session), claim_key(claim)))

    def spawn(self, *, session: int, claim: Claim, children: Sequence[New], twice: bool = False) -> None:
        self._ask(
            session,
            lambda store: store.spawn(session_id(session), claim_key(claim), [child.request() for child in children]),
            twice=twice,
        )

    def cancel_children(self, *, session: int, claim: Claim, jobs: Sequence[int], twice: bool = False) -> None:
        self._ask(
            session,
            lambda store: store.cancel_children(session_id(session), claim_key(claim), [job_id(job) for job in jobs]),
            twice=twice,
        )

    def rear(self, *, session: int, claim: Claim, children: Sequence[New]) -> None:
        """Spawn children and begin them: the short way to families."""
        self.spawn(session=session, claim=claim, children=children)
        self.begin(session=session)

    # -- changing from outside

    def cancel(self, *, jobs: Sequence[int], grace: int | None = None, twice: bool = False) -> None:
        grace_seconds = None if grace is None else float(grace)
        self._ask(_CLIENT, lambda store: store.cancel([job_id(job) for job in jobs], grace_seconds=grace_seconds), twice=twice)

    def retry(self, *, job: int, fresh: bool = False, twice: bool = False) -> None:
        self._ask(_CLIENT, lambda store: store.retry(job_id(job), fresh=fresh), twice=twice)

    def update(
        self,
        *,
        job: int,
        queue: str | None = None,
        priority: int | None = None,
        attempts: int | None = None,
        grains: int | None = None,
    ) -> None:
        delay = None if grains is None else grains * GRAIN_SECONDS
        changes = Changes(queue=queue, priority=priority, attempts=attempts, delay_seconds=delay)
        self._ask(_CLIENT, lambda store: store.update(job_id(job), changes))

    # -- time, and those who only look

    def pass_time(self, *, grains: int) -> None:
        self._stage.pass_time(grains * GRAIN_SECONDS)

    def look(
        self,
        *,
        states: Sequence[JobState] = (),
        kinds: Sequence[str] = (),
        queues: Sequence[str] = (),
        parent: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> None:
        which = Filter(states=states, kinds=kinds, queues=queues, parent=_maybe(parent), before=_maybe(before), limit=limit)
        self._ask(_CLIENT, lambda store: store.list(which))
        self._ask(_CLIENT, lambda store: store.find(f"{before or 1:04x}", limit=2))
        self._ask(_CLIENT, lambda store: store.coordinators())

    def _ask(self, process: int, verb: Verb, *, twice: bool = False) -> None:
        self._stage.both(process, verb, twice=twice)


def _maybe(job: int | None) -> UUID | None:
    return None if job is None else job_id(job)
