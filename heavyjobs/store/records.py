"""What goes into a store's verbs and what comes out: the nouns of `heavyjobs.store.protocol`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from heavyjobs.model import Bill, Cause, ClaimKey, Ending, JobState, Move, Policy
from heavyjobs.values import JsonText

LOG_CHUNK_MAX_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How to reach a database; the defaults suit everyone.

    Attributes:
        timeout_seconds: of one call, waiting for a connection or a lock included.
        connections: the most that the pool may open; the listener and the ticks of a coordinator have one each of their own
            (PostgreSQL).
        listen_url: a direct address for the listener, beside a pooler (PostgreSQL).
        notify: whether wake-ups are used at all; without them everything works by polling.
        look_seconds: how often to look for changes while there are none (SQLite).
    """

    timeout_seconds: float = 10.0
    connections: int = 4
    listen_url: str | None = None
    notify: bool = True
    look_seconds: float = 0.03


# -- submitting


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to insert. `delay_seconds` above 0 makes it `scheduled`, else it is `ready`."""

    id: UUID
    kind: str
    version: int
    parameters: JsonText
    policy: Policy
    delay_seconds: float = 0.0
    unique_key: str | None = None
    parent: UUID | None = None
    child_key: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a `NewJob`.

    Attributes:
        id: the job's; another's when the parent already has a child of that key, or else when a live job of that kind has the
            unique key.
        created: False when it is another's, or when this very id was inserted by an earlier try.
        kind, parameters: of the job with that id, to tell an equal child from a different one.
    """

    id: UUID
    created: bool
    kind: str
    parameters: JsonText


# -- claiming


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One head of the line that a coordinator can serve.

    Attributes:
        version: take jobs of this version and of older ones.
        line: wants of the same line share `room`, the number of jobs to take at most.
        depth_min: take only jobs at least this deep in their family (the room that a waiting parent made).
    """

    queue: str
    kind: str
    version: int
    line: str
    room: int
    depth_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A job that the caller now holds.

    Attributes:
        attempt: what this invocation will be charged as, from 1.
        unstarted: claims in a row that did not start, this one included.
        checkpoint: the newest that any invocation of the job kept; None at first and after `retry(fresh=True)`.
    """

    claim: ClaimKey
    epoch: int
    attempt: int
    unstarted: int
    kind: str
    version: int
    parameters: JsonText
    policy: Policy
    depth: int
    parent: UUID | None
    checkpoint: JsonText | None


# -- ticking


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A running job is to be stopped, `grace_seconds` before force; None means the job's own grace."""

    claim: ClaimKey
    grace_seconds: float | None


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """Another live session, as evidence for judging its silence."""

    id: UUID
    tick: int
    name: str
    host: str
    boot_id: str
    pid: int
    pid_started: float


@dataclass(frozen=True, slots=True)
class Tick:
    """What a session learns when it ticks.

    Attributes:
        number: its tick number now.
        lost: of the claims it named, those it no longer holds.
        cancels: of the claims it named, those to be stopped.
        others: the other sessions that are neither ended nor fenced.
    """

    number: int
    drain: bool
    lost: tuple[ClaimKey, ...]
    cancels: tuple[CancelOrder, ...]
    others: tuple[SessionSeen, ...]


# -- recording what invocations do


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """News of a running invocation; the latest of each wins.

    Attributes:
        started_ago_seconds: since the worker said started; charges the attempt. None while it has not.
        status: None leaves the stored one.
    """

    claim: ClaimKey
    slot: str
    started_ago_seconds: float | None
    status: JsonText | None
    bill: Bill


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Consecutive lines of one invocation, one row; a repeated append changes nothing.

    Attributes:
        first: number of the first line, from 0 within the claim.
        lines: how many.
        data: a JSON array of `[time, source, level, text]`, with a fifth element 1 where the line continues (see
            `heavyjobs.logs`). At most `LOG_CHUNK_MAX_BYTES`, except for a single line that is larger.
    """

    claim: ClaimKey
    first: int
    lines: int
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of an invocation, and where its job goes.

    Attributes:
        progress: its last news, written with the end.
        move: as decided by `heavyjobs.model.after`; when the row carries a cancel request, any state but `succeeded`
            becomes `cancelled`.
        cause: kept in the invocation's row, and in the job's when it is dead or cancelled (in the job's row a cancel request
            leaves it as it is: it says how the last invocation ended).
    """

    progress: Progress
    ending: Ending
    move: Move
    result: JsonText | None = None
    error: JsonText | None = None
    cause: Cause | None = None
    log_dropped_lines: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a `record`.

    Attributes:
        lost: claims that the caller no longer holds; nothing was written about them.
        ended: for each `End`, the state its job went to. When an earlier try had already written it, the state in which the job
            is now, unless it was claimed or sent again since: then that of the move.
    """

    lost: frozenset[ClaimKey]
    ended: dict[ClaimKey, JobState]


# -- changing from outside


class CancelAnswer(StrEnum):
    CANCELLED = "cancelled"  # was waiting, is cancelled now
    REQUESTED = "requested"  # is running; its coordinator will stop it
    ENDED = "ended"  # had ended already, nothing was changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What `update` may change; None leaves a value as it is. `delay_seconds` counts from now and needs a job not running."""

    queue: str | None = None
    priority: int | None = None
    attempts: int | None = None
    timeout_seconds: float | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    delay_seconds: float | None = None


# -- reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs to list, newest first. Empty collections mean any."""

    states: Collection[JobState] = ()
    kinds: Collection[str] = ()
    queues: Collection[str] = ()
    parent: UUID | None = None
    before: UUID | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Brief:
    """Where a job stands; what a waiter needs to know whether to read more.

    Attributes:
        claim, log_lines: of the newest claim, its stored log lines; 0 when there was none.
        status: latest of that claim.
    """

    id: UUID
    state: JobState
    epoch: int
    claim: int
    attempt: int
    log_lines: int
    status: JsonText | None


# -- how the database is


class Fit(StrEnum):
    FINE = "fine"
    REMARK = "remark"  # works, but could go better or be surprising
    WRONG = "wrong"  # a promise does not hold


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at, for people: what was found and, unless it is fine, what would do."""

    what: str
    fit: Fit
    text: str


# -- wake-ups


class Topic(StrEnum):
    READY = "ready"  # keys are queues with new work
    JOBS = "jobs"  # keys are ids of jobs with news: state, status or log
    CONTROL = "control"  # keys are sessions that should tick now


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A hint that something may have changed; never data, never needed for correctness. No keys: anything of that topic."""

    topic: Topic
    keys: frozenset[str] = field(default_factory=frozenset[str])
