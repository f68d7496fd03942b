"""The nouns of heavyjobs as plain data, and the decisions about them as pure functions.

States and the moves between them are one table, `MOVES`; the SQL of every store, the diagram in the map and the tests are held
against it. No I/O here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Generic, Never, TypeAlias
from uuid import UUID

from typing_extensions import TypeVar

from heavyjobs.values import JsonText

R = TypeVar("R", default=None)
S = TypeVar("S", default=Never)
E = TypeVar("E", default=Never)
"""A job type's result, status and error. A type without status or error says so by leaving them out."""

STARTS_MAX: Final = 20
"""Claims in a row that never start before a job is declared dead: they cost no attempt, but may not go on for ever."""

DEPTH_MAX: Final = 32
"""Depth of a family of jobs, the root being 0."""


class JobState(StrEnum):
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether only `retry` can move the job on."""
        return self in ENDED


MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.SCHEDULED: frozenset({JobState.READY, JobState.CANCELLED}),
    JobState.READY: frozenset({JobState.RUNNING, JobState.SCHEDULED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED, JobState.SCHEDULED, JobState.READY}),
    JobState.SUCCEEDED: frozenset(),
    JobState.DEAD: frozenset({JobState.READY}),
    JobState.CANCELLED: frozenset({JobState.READY}),
}
ENDED: Final = frozenset({JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED})


class Ending(StrEnum):
    """How one invocation ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # with the job type's own error
    RAISED = "raised"  # any other exception
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"  # the process is gone: exit code or signal
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    FORFEITED = "forfeited"  # its session went silent
    HANDED_BACK = "handed_back"  # by a coordinator that drains; costs no attempt


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job wants to be run; settled at submit and stored with the job."""

    queue: str = "default"
    priority: int = 0
    attempts: int = 3
    backoff_seconds: float = 10.0
    backoff_max_seconds: float = 600.0
    timeout_seconds: float | None = None
    grace_seconds: float = 10.0
    cpus: float = 1.0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What one invocation used, its whole process tree included.

    `memory_peak_bytes` is resident memory; where figures could not be had (a crash before the first sample) they are 0.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_peak_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an invocation ended as it did.

    Attributes:
        message: one line for people.
        type: the exception's qualified name, or the error model's name.
        traceback: of the exception, as text.
        exit_code: of a worker that ended by itself.
        signal: that ended the worker.
    """

    ending: Ending
    message: str
    type: str | None = None
    traceback: str | None = None
    exit_code: int | None = None
    signal: int | None = None


CAUSE_UNKNOWN: Final = Cause(Ending.RAISED, "no cause was kept")
"""Of a dead job whose row tells none; whatever declares a job dead here tells one."""


@dataclass(frozen=True, slots=True, order=True)
class ClaimKey:
    """The proof of holding a job; every write about an invocation names it."""

    job: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Succeeded(Generic[R]):
    """The job has its result."""

    result: R


@dataclass(frozen=True, slots=True)
class Dead(Generic[E]):
    """The job will not be tried again.

    Attributes:
        error: the job type's own typed error, when it failed with one.
        cause: how its last invocation ended.
    """

    error: E | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled before it had a result."""


Outcome: TypeAlias = Succeeded[R] | Dead[E] | Cancelled


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One row of `jobs`.

    Attributes:
        attempt: attempts charged in this epoch.
        claim: the number of the newest claim; 0 when there was none.
        due_at: set only while `scheduled`.
        cancel_requested_at: set from the request until the job ends.
        parent: the job that spawned this one; `child_key` is its key there.
    """

    id: UUID
    kind: str
    version: int
    state: JobState
    parameters: JsonText
    policy: Policy
    epoch: int
    attempt: int
    claim: int
    created_at: datetime
    due_at: datetime | None = None
    ready_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    unique_key: str | None = None
    parent: UUID | None = None
    child_key: str | None = None
    depth: int = 0
    result: JsonText | None = None
    error: JsonText | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One row of `invocations`: one run of a job.

    Attributes:
        attempt: the attempt this run is charged as, from 1.
        session, host, slot: who ran it and where; `slot` is empty until a slot was given.
        opened_at: when it was claimed; `started_at` when the worker said so; `ended_at` is None while it is held.
        log_lines, log_bytes: what is stored; `log_dropped_lines`: what the bound left out.
    """

    claim: ClaimKey
    epoch: int
    attempt: int
    session: UUID
    host: str
    slot: str
    opened_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ending: Ending | None
    status: JsonText | None
    cause: Cause | None
    bill: Bill
    log_lines: int
    log_bytes: int
    log_dropped_lines: int


class Source(StrEnum):
    """Where a log line came from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    LOGGING = "logging"
    LOGURU = "loguru"
    PROGRAM = "program"  # a child program run by `ctx.program`
    HEAVYJOBS = "heavyjobs"  # remarks of the slot itself


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an invocation's log.

    Attributes:
        number: from 0 within the claim, without gaps.
        time: seconds since 1970, by the clock of the host that ran it.
        level: on the scale of `logging` (10 debug … 50 critical); None where the source has none.
        continued: the line went on, but was too long for one row.
    """

    claim: int
    number: int
    time: float
    source: Source
    level: int | None
    text: str
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Where a job goes when an invocation ends.

    Attributes:
        state: `succeeded`, `dead`, `cancelled`, `scheduled` or `ready`.
        delay_seconds: for `scheduled`.
        charged: whether the invocation costs an attempt.
    """

    state: JobState
    delay_seconds: float = 0.0
    charged: bool = True


def after(
    ending: Ending,
    *,
    started: bool,
    attempt: int,
    unstarted: int,
    policy: Policy,
    retry: bool = True,
    jitter: float,
) -> Move:
    """Decide where a job goes when its invocation has ended.

    A cancel request is not weighed here: every store, holding the row, turns any move but `succeeded` into `cancelled` when one
    stands, whatever came first.

    Args:
        started: whether the worker said so; a claim that never started costs no attempt.
        attempt: the number of this attempt, from 1.
        unstarted: claims in a row that never started, this one included.
        retry: False when the job said that trying again is useless.
        jitter: 0 to 1, spreads the delay between half of it and all of it.
    """
    if ending is Ending.SUCCEEDED:
        return Move(JobState.SUCCEEDED)
    if ending is Ending.CANCELLED:
        return Move(JobState.CANCELLED, charged=started)
    if ending is Ending.HANDED_BACK:
        return Move(JobState.READY, charged=False)
    if not started:
        if not retry or unstarted >= STARTS_MAX:
            return Move(JobState.DEAD, charged=False)
        return _scheduled(backoff_seconds(unstarted, policy=policy, jitter=jitter), charged=False)
    if not retry or attempt >= policy.attempts:
        return Move(JobState.DEAD)
    return _scheduled(backoff_seconds(attempt, policy=policy, jitter=jitter), charged=True)


def _scheduled(delay_seconds: float, *, charged: bool) -> Move:
    if delay_seconds <= 0:
        return Move(JobState.READY, charged=charged)
    return Move(JobState.SCHEDULED, delay_seconds, charged)


def backoff_seconds(attempt: int, *, policy: Policy, jitter: float) -> float:
    """The wait after attempt number `attempt`: doubled each time, at most `backoff_max`, then between half and all of it."""
    whole = min(policy.backoff_seconds * 2.0 ** min(attempt - 1, 60), policy.backoff_max_seconds)
    return whole * (0.5 + jitter / 2)


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then 74 random bits. Sorts by time of creation."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & ((1 << 74) - 1)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def short_id(job: UUID) -> str:
    """An id as people see it: the time part's start and the tail that tells it apart, `0192f3a1-7f3a`."""
    text = job.hex
    return f"{text[:8]}-{text[-6:]}"


@dataclass(frozen=True, slots=True)
class Session:
    """One start of a coordinator.

    Attributes:
        name: the host's name or what the configuration gives; a label, two sessions may share it.
        boot_id: of the host's kernel, so that processes of an earlier boot are known to be gone.
        pid, pid_started: of the coordinator's process; the start, in seconds since boot, tells a reused pid apart.
        queues: name to number of slots.
        kinds: kind to the newest version it runs.
        problems: what it could not load, one line each.
    """

    id: UUID
    name: str
    host: str
    boot_id: str
    pid: int
    pid_started: float
    release: str
    queues: Mapping[str, int] = field(default_factory=dict[str, int])
    kinds: Mapping[str, int] = field(default_factory=dict[str, int])
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CoordinatorRecord:
    """One row of `coordinators`, for people."""

    session: Session
    tick: int
    started_at: datetime
    ticked_at: datetime
    drain_requested_at: datetime | None
    ended_at: datetime | None
    fenced_at: datetime | None
    running: int
