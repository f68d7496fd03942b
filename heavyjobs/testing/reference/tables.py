"""What a database of jobs holds: records that never change, in dictionaries whose order is that of their coming."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from heavyjobs.errors import SessionFenced
from heavyjobs.model import MOVES, ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord, JobState, short_id
from heavyjobs.store.records import LogChunk, Topic
from heavyjobs.values import JsonText


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: what everyone can read of it, and what only the verbs know.

    Attributes:
        unstarted: claims in a row that never started.
        session: who holds it, while it runs.
        parent_claim: the newest of its parent's claims that spawned it.
    """

    record: JobRecord
    unstarted: int = 0
    session: UUID | None = None
    cancel_grace_seconds: float | None = None
    parent_claim: int = 0
    checkpoint: JsonText | None = None

    @property
    def claim(self) -> ClaimKey:
        """The newest."""
        return ClaimKey(self.record.id, self.record.claim)

    @property
    def live(self) -> bool:
        """Whether it has not ended; only then is its unique key taken."""
        return not self.record.state.ended

    def held_by(self, session: UUID) -> bool:
        return self.record.state is JobState.RUNNING and self.session == session

    def changed(self, **values: Any) -> Job:
        """The same job with other values in its record."""
        return replace(self, record=replace(self.record, **values))

    def moved(self, state: JobState, at: datetime, *, due_at: datetime | None = None, **values: Any) -> Job:
        """The job in another state, with the times that belong to it."""
        if state not in MOVES[self.record.state]:
            raise AssertionError(f"no job goes from {self.record.state} to {state}")
        return self.changed(
            state=state,
            due_at=due_at,
            ready_at=at if state is JobState.READY else None,
            finished_at=at if state.ended else None,
            **values,
        )


@dataclass(slots=True)
class Tables:
    """The whole of a database. A verb works on a copy, which takes the place of the tables when the verb has not raised.

    Attributes:
        schema: version and `min_compatible`, zeros where there is none.
        logs: the chunks of each claim, by their first line.
        news: the topics that a verb has something to say about, told when it is done.
    """

    schema: tuple[int, int] = (0, 0)
    jobs: dict[UUID, Job] = field(default_factory=dict[UUID, Job])
    invocations: dict[ClaimKey, InvocationRecord] = field(default_factory=dict[ClaimKey, InvocationRecord])
    logs: dict[ClaimKey, tuple[LogChunk, ...]] = field(default_factory=dict[ClaimKey, tuple[LogChunk, ...]])
    sessions: dict[UUID, CoordinatorRecord] = field(default_factory=dict[UUID, CoordinatorRecord])
    news: dict[Topic, None] = field(default_factory=dict[Topic, None])

    def copy(self) -> Tables:
        return Tables(self.schema, self.jobs.copy(), self.invocations.copy(), self.logs.copy(), self.sessions.copy())

    def put(self, job: Job) -> None:
        self.jobs[job.record.id] = job

    def wake(self, *topics: Topic) -> None:
        self.news.update(dict.fromkeys(topics))

    def open_invocation(self, session: UUID, claim: ClaimKey) -> InvocationRecord | None:
        """The invocation of a claim, while the session holds it."""
        found = self.invocations.get(claim)
        return found if found is not None and found.session == session and found.ended_at is None else None

    def held(self, session: UUID) -> list[Job]:
        """What a session holds, oldest claim first."""
        jobs = [job for job in self.jobs.values() if job.held_by(session)]
        return sorted(jobs, key=lambda job: (self.invocations[job.claim].opened_at, job.record.id))

    def unfenced(self, session: UUID) -> bool:
        found = self.sessions.get(session)
        return found is not None and found.fenced_at is None and found.ended_at is None

    def make_sure_of(self, session: UUID) -> None:
        """Raise `SessionFenced` unless the session may still write."""
        if not self.unfenced(session):
            raise SessionFenced(f"session {short_id(session)} was declared dead, has ended or never was; start a new one")
