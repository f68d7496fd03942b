"""Jobs and all that they spawned are cancelled together: what waits at once, what runs by a request."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from uuid import UUID

from heavyjobs.model import ClaimKey, JobState
from heavyjobs.store.causes import cause_text
from heavyjobs.store.records import CancelAnswer, Topic
from heavyjobs.store.refusals import CANCELLED_WAITING, claim_lost
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake


def cancel(connection: sqlite3.Connection, jobs: Collection[UUID], *, grace_seconds: float | None) -> dict[UUID, CancelAnswer]:
    states = {
        UUID(bytes=row["id"]): JobState(row["state"])
        for row in connection.execute(SQL["states"], {"jobs": rows.ids_text(jobs)})
    }
    live = [job for job, state in states.items() if not state.ended]
    cancel_below(connection, live, now=rows.now(), grace_seconds=grace_seconds)
    return {job: _answer(state) for job, state in states.items()}


def cancel_children(connection: sqlite3.Connection, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
    """See `Store.cancel_children`."""
    parent = {"parent": claim.job.bytes, "claim": claim.number, "session": session.bytes}
    found = connection.execute(SQL["children_held"], {**parent, "jobs": rows.ids_text(jobs)}).fetchall()
    if not found:
        raise claim_lost(claim)
    cancel(connection, [UUID(bytes=row["id"]) for row in found if row["id"] is not None], grace_seconds=None)


def cancel_below(
    connection: sqlite3.Connection, jobs: Collection[UUID], *, now: int, grace_seconds: float | None = None
) -> None:
    """Cancel those of `jobs` and of all their descendants that have not ended."""
    if not jobs:
        return
    family = connection.execute(SQL["descendants"], {"jobs": rows.ids_text(jobs)}).fetchall()
    running = [row["id"] for row in family if row["state"] == "running"]
    waiting = [row["id"] for row in family if row["state"] != "running"]
    cause = cause_text(CANCELLED_WAITING)
    connection.executemany(SQL["cancel_waiting"], [{"job": job, "now": now, "cause": cause} for job in waiting])
    connection.executemany(SQL["request_cancel"], [{"job": job, "now": now, "grace_seconds": grace_seconds} for job in running])
    if family:
        wake(connection, Topic.JOBS)
    if running:
        wake(connection, Topic.CONTROL)


def _answer(state: JobState) -> CancelAnswer:
    if state.ended:
        return CancelAnswer.ENDED
    return CancelAnswer.REQUESTED if state is JobState.RUNNING else CancelAnswer.CANCELLED
