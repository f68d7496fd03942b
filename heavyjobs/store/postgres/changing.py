"""Jobs changed from outside: cancelled with their families, sent again, given other terms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from psycopg import errors
from psycopg.rows import args_row, kwargs_row, scalar_row

from heavyjobs.model import ClaimKey, JobRecord
from heavyjobs.store.causes import cause_text
from heavyjobs.store.limits import check_changes
from heavyjobs.store.postgres.rows import job_record
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.postgres.wakeups import News
from heavyjobs.store.records import CancelAnswer, Changes
from heavyjobs.store.refusals import CANCELLED_WAITING, claim_lost, key_taken, not_changed, not_sent_again
from heavyjobs.store.watching import not_found


@dataclass(frozen=True, slots=True)
class Family:
    """What a cancel did to jobs and their descendants.

    Attributes:
        answers: for each of them.
        sessions: that run some of them.
    """

    answers: dict[UUID, CancelAnswer] = field(default_factory=dict[UUID, CancelAnswer])
    sessions: frozenset[UUID] = frozenset()

    @property
    def changed(self) -> list[UUID]:
        return [job for job, answer in self.answers.items() if answer is not CancelAnswer.ENDED]


async def cancel(talk: Talk, jobs: Collection[UUID], *, grace_seconds: float | None) -> dict[UUID, CancelAnswer]:
    async with talk.transaction():
        family = await cancel_family(talk, jobs, grace_seconds=grace_seconds)
        await talk.tell(News(jobs=family.changed, control=family.sessions))
    return {job: family.answers[job] for job in jobs if job in family.answers}


async def cancel_children(talk: Talk, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
    """See `Store.cancel_children`. The claim is kept from ending meanwhile."""
    async with talk.transaction():
        children: list[UUID | None] = await talk.rows(
            "children_held", scalar_row, session=session, parent=claim.job, claim=claim.number, jobs=list(jobs)
        )
        if not children:
            raise claim_lost(claim)
        family = await cancel_family(talk, [child for child in children if child is not None])
        await talk.tell(News(jobs=family.changed, control=family.sessions))


async def cancel_family(
    talk: Talk, jobs: Collection[UUID], *, grace_seconds: float | None = None, falling: bool = False
) -> Family:
    """Cancel jobs and all that lives below them, telling nobody yet.

    Args:
        falling: the jobs have just ended in this transaction, and take with them what is below.
    """
    answers: dict[UUID, CancelAnswer] = {}
    sessions: set[UUID] = set()
    named = list(jobs)
    while named:
        rows = await talk.rows(
            "cancel",
            args_row(_cancelled),
            jobs=named,
            grace=grace_seconds,
            falling=falling,
            waiting=cause_text(CANCELLED_WAITING),
        )
        found = {job: answer for job, answer, _ in rows if job not in answers}
        answers |= found
        sessions |= {session for *_, session in rows if session is not None}
        # What ran may have spawned while this waited for its row, too late for this statement to see; now it may not any more.
        named, falling = [job for job, answer in found.items() if answer is not CancelAnswer.ENDED], True
    return Family(answers, frozenset(sessions))


async def retry(talk: Talk, job: UUID, *, fresh: bool) -> JobRecord:
    try:
        async with talk.transaction():
            queues: list[str] = await talk.rows("retry", scalar_row, job=job, fresh=fresh)
            await talk.tell(News(ready=queues, jobs=[job] if queues else []))
            record = await _job(talk, job)
    except errors.UniqueViolation:
        raise key_taken(await _job(talk, job)) from None
    if not queues:
        raise not_sent_again(record)
    return record


async def update(talk: Talk, job: UUID, changes: Changes) -> JobRecord:
    check_changes(changes)
    async with talk.transaction():
        queues: list[str] = await talk.rows(
            "update_job",
            scalar_row,
            job=job,
            queue=changes.queue,
            priority=changes.priority,
            attempts=changes.attempts,
            timeout=changes.timeout_seconds,
            memory=changes.memory_bytes,
            cpus=changes.cpus,
            delay=changes.delay_seconds,
        )
        await talk.tell(News(ready=queues, jobs=[job] if queues else []))
        record = await _job(talk, job)
    if not queues:
        raise not_changed(record)
    return record


async def _job(talk: Talk, job: UUID) -> JobRecord:
    records = await talk.rows("jobs", kwargs_row(job_record), jobs=[job])
    if not records:
        raise not_found(job)
    return records[0]


def _cancelled(job: UUID, state: str | None, session: UUID | None) -> tuple[UUID, CancelAnswer, UUID | None]:
    match state:
        case None:
            return job, CancelAnswer.ENDED, None
        case "running":
            return job, CancelAnswer.REQUESTED, session
        case _:
            return job, CancelAnswer.CANCELLED, None
