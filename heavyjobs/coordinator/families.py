"""Answer what running jobs ask for: checkpoints, children, how these ended, which jobs have, and whether the claim holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from uuid import UUID

from heavyjobs import events
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.coordinator.lease import Lease
from heavyjobs.errors import ClaimLost, HeavyjobsError, KeyReused, StoreUnavailable
from heavyjobs.model import JobRecord, new_id, short_id
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import NewJob, Submitted
from heavyjobs.store.watching import Watcher
from heavyjobs.values import NULL, JsonText, decode

SPAWNS_AT_ONCE: Final = 4
"""Large families must not stand before everything else that this host has to say to the database."""


class Families:
    """Answers for one session.

    Args:
        waits_changed: called when a job begins or ends to wait for children, for it gives its slot back meanwhile.
    """

    def __init__(
        self, store: Store, session: UUID, watcher: Watcher, lease: Lease, *, waits_changed: Callable[[], None]
    ) -> None:
        self._store: Final = store
        self._session: Final = session
        self._watcher: Final = watcher
        self._lease: Final = lease
        self._waits_changed: Final = waits_changed
        self._spawning: Final = asyncio.Semaphore(SPAWNS_AT_ONCE)

    async def answer(self, invocation: Invocation, asked: events.Asked) -> None:
        """Answer one request, however long it takes; a database that is away makes it take longer, nothing else."""
        patience = Patience()
        while not invocation.over.is_set():
            try:
                value = await self._value(invocation, asked.request)
                answer = events.Answer(number=asked.number, value=value)
            except StoreUnavailable:
                await patience.wait()
                continue
            except HeavyjobsError as error:
                answer = events.Answer(number=asked.number, refused=str(error), refusal=type(error).__name__)
            if not invocation.over.is_set():
                invocation.worker.answer(invocation.reference, answer)
            return

    async def _value(self, invocation: Invocation, request: events.Request) -> JsonText:
        match request:
            case events.Checkpoint(data):
                await self._store.checkpoint(self._session, invocation.claimed.claim, data)
                return NULL
            case events.Spawn(children):
                return await self._spawn(invocation, children)
            case events.Await(jobs, first_death):
                return await self._await(invocation, jobs, first_death=first_death)
            case events.ReadEnds(jobs):
                ended = await self._store.get_many(jobs)
                return JsonText(events.CHILD_ENDS.dump_json(_ends(jobs, ended)).decode())
            case events.ReadStatuses(jobs):
                briefs = await self._store.briefs(jobs)
                statuses = [briefs[job].status if job in briefs else None for job in jobs]
                return JsonText(events.CHILD_STATUSES.dump_json(statuses).decode())
            case events.CancelJobs(jobs):
                await self._store.cancel_children(self._session, invocation.claimed.claim, jobs)
                return NULL
            case events.FindOver(jobs):
                briefs = await self._store.briefs(jobs)
                over = [events.JobOver(job.id, job.claim, job.epoch) for job in briefs.values() if job.state.ended]
                return JsonText(events.JOBS_OVER.dump_json(over).decode())
            case events.Confirm():
                return await self._confirm(invocation)

    async def _confirm(self, invocation: Invocation) -> JsonText:
        held = self._lease.holds and await self._store.holds(self._session, invocation.claimed.claim)
        # Asked again: the answer may have taken longer than the lease.
        if not held or not self._lease.holds or invocation.stop is not None:
            raise ClaimLost("the claim does not hold any more, or the job is to stop; nothing is published")
        return JsonText("true")

    async def _spawn(self, invocation: Invocation, children: tuple[events.NewChild, ...]) -> JsonText:
        parent = invocation.claimed
        new = [
            NewJob(
                id=new_id(),
                kind=child.kind,
                version=child.version,
                parameters=child.parameters,
                policy=child.policy,
                parent=parent.claim.job,
                child_key=child.key,
                depth=parent.depth + 1,
            )
            for child in children
        ]
        async with self._spawning:
            submitted = await self._store.spawn(self._session, parent.claim, new)
        for child, found in zip(children, submitted, strict=True):
            _same_or_refuse(child, found)
        return JsonText(events.CHILD_IDS.dump_json([found.id for found in submitted]).decode())

    async def _await(self, invocation: Invocation, jobs: tuple[UUID, ...], *, first_death: bool) -> JsonText:
        invocation.wait_begins()
        self._waits_changed()
        try:
            ended = await _unless(invocation.over, self._watcher.ended(jobs, first_death=first_death))
        finally:
            invocation.wait_ends()
            self._waits_changed()
        states = [events.ChildState(record.id, record.state) for record in (ended or {}).values()]
        return JsonText(events.CHILD_STATES.dump_json(states).decode())


async def _unless(over: asyncio.Event, waiting: Awaitable[Mapping[UUID, JobRecord]]) -> Mapping[UUID, JobRecord] | None:
    """The value waited for, or None as soon as it is over."""
    task = asyncio.ensure_future(waiting)
    end = asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait([task, end], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        end.cancel()
        # Whatever is still raised is nobody's any more; left alone, it would be told as an error that was never looked at.
        await asyncio.gather(task, end, return_exceptions=True)


def _ends(jobs: tuple[UUID, ...], ended: Mapping[UUID, JobRecord]) -> list[events.ChildEnd]:
    return [
        events.ChildEnd(
            job=job,
            state=record.state,
            result=record.result,
            error=record.error,
            ending=record.cause.ending if record.cause else None,
            message=record.cause.message if record.cause else f"it is {record.state}",
            traceback=record.cause.traceback if record.cause else None,
        )
        for job in jobs
        if (record := ended.get(job)) is not None
    ]


def _same_or_refuse(child: events.NewChild, found: Submitted) -> None:
    """A key that was used before must mean the same child.

    Raises:
        KeyReused: with the difference.
    """
    if found.created or (found.kind == child.kind and decode(found.parameters) == decode(child.parameters)):
        return
    here = f"{child.kind} {child.parameters[:300]}"
    there = f"{found.kind} {found.parameters[:300]}"
    raise KeyReused(f"the key {child.key!r} already names child {short_id(found.id)}: {there}; not {here}; use another key")
