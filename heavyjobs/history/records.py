"""What is judged, and what judging yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from heavyjobs.model import CoordinatorRecord, InvocationRecord, JobRecord, short_id


class Rule(StrEnum):
    """What a history has to keep to; each is one check of `heavyjobs.history.rules`."""

    ACCEPTED = "accepted"  # a job that was accepted is there
    SETTLED = "settled"  # and has ended, where all should have
    FITTING = "fitting"  # state, times, result, error and cause of a row agree
    CLAIMS = "claims"  # claims are numbered from 1 without gaps, epochs never fall
    ENDINGS = "endings"  # one end per epoch, by its last invocation, and the state says the same
    OPEN = "open"  # open invocations: the newest of a running job, no other
    ATTEMPTS = "attempts"  # counted from 1, one more per charged ending, within the budget
    ORDER = "order"  # no invocation was opened before the one before it had ended
    OVERLAP = "overlap"  # no two copies of a job worked at the same time
    LOGS = "logs"  # lines are stored without gaps, as many as the invocation says
    SESSIONS = "sessions"  # every claim was made by a session that is known
    HOLDER = "holder"  # what runs is held by a session that may still write
    FAMILY = "family"  # parents exist, one floor up; nothing lives below the dead and cancelled


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that no sound history shows.

    Attributes:
        claim: the number of the claim concerned; None where it is the job as a whole.
        text: what is seen, and what it means.
    """

    rule: Rule
    job: UUID
    claim: int | None
    text: str

    def __str__(self) -> str:
        where = f"job {short_id(self.job)}" + ("" if self.claim is None else f", claim {self.claim}")
        return f"{where}: {self.text} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Witness:
    """That an invocation was at work from `began` to `ended` (when it was last seen), by one clock for all witnesses."""

    job: UUID
    claim: int
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """All that is known of one job.

    Attributes:
        invocations: oldest first.
        sessions: all that ever were, at least those that these invocations name.
        parent: its row; None when the job is a root, or when its parent is not there.
        chunks: by claim, `(first line, lines)` of each stored log row, in order; None where logs are not judged.
        witnessed: of this job.
    """

    job: JobRecord
    invocations: Sequence[InvocationRecord]
    sessions: Mapping[UUID, CoordinatorRecord]
    parent: JobRecord | None = None
    chunks: Mapping[int, Sequence[tuple[int, int]]] | None = None
    witnessed: Sequence[Witness] = field(default=())
