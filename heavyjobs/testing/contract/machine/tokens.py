"""What a failing history is written with: small numbers for jobs and sessions, and requests that say only what is odd.

A job is its number, a session is its number, a claim is (job, claim number).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from heavyjobs.model import ClaimKey, Policy, Session
from heavyjobs.store.records import NewJob, Want
from heavyjobs.values import JsonText

GRAIN_SECONDS: Final = 1000.0
"""All delays and steps of the clock are whole numbers of this, so that what the machine itself takes changes no order."""

QUEUES: Final = ("default", "other")
KINDS: Final = ("demo.a", "demo.b")
STRANGER: Final = 99
"""The number of a job and of a session that are never made."""

Claim: TypeAlias = tuple[int, int]

_JOBS: Final = 0x0192_0000_0000_7000_8000_0000_0000_0000
_SESSIONS: Final = 0x0191_0000_0000_7000_8000_0000_0000_0000


def job_id(number: int) -> UUID:
    """Ids grow with the numbers, as those that are made one after the other do."""
    return UUID(int=_JOBS + number)


def session_id(number: int) -> UUID:
    return UUID(int=_SESSIONS + number)


def number_of(each: UUID) -> int:
    """Of a job or a session."""
    return each.int & 0xFFFF


def claim_key(claim: Claim) -> ClaimKey:
    return ClaimKey(job_id(claim[0]), claim[1])


def claim_of(claim: ClaimKey) -> Claim:
    return number_of(claim.job), claim.number


class Brief:
    """Written as a call that names only what is not as usual."""

    __slots__ = ()

    def __repr__(self) -> str:
        given = [(each.name, getattr(self, each.name), each.default) for each in fields(cast("Any", self))]
        odd = ", ".join(f"{name}={value!r}" for name, value, usual in given if value != usual)
        return f"{type(self).__name__}({odd})"

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        """Hypothesis would name all fields, one to a line."""
        printer.text(repr(self))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class New(Brief):
    """A job to submit or to spawn; `grains` is its delay."""

    job: int
    kind: str = KINDS[0]
    version: int = 1
    queue: str = QUEUES[0]
    priority: int = 0
    grains: int = 0
    key: str | None = None
    parent: int | None = None
    child: str | None = None
    depth: int = 0
    attempts: int = 2
    backoff_grains: int = 2
    cpus: float = 1.0
    memory: int | None = None

    def request(self) -> NewJob:
        return NewJob(
            id=job_id(self.job),
            kind=self.kind,
            version=self.version,
            parameters=JsonText(f'{{"n":{self.job}}}'),
            policy=Policy(
                queue=self.queue,
                priority=self.priority,
                attempts=self.attempts,
                backoff_seconds=self.backoff_grains * GRAIN_SECONDS,
                backoff_max_seconds=4 * GRAIN_SECONDS,
                cpus=self.cpus,
                memory_bytes=self.memory,
            ),
            delay_seconds=self.grains * GRAIN_SECONDS,
            unique_key=self.key,
            parent=None if self.parent is None else job_id(self.parent),
            child_key=self.child,
            depth=self.depth,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Deed(Brief):
    """What is recorded about one claim, in one call with others.

    Attributes:
        lines: so many new log lines, in one chunk.
        again: the chunks that are stored already are sent again.
        end: how it ended, by `Ending`'s word; None while it goes on.
        retry: False when the job said that trying again is useless.
        jitter: 0 or 1.
        apart: news come apart from the end, in the same call.
    """

    claim: Claim
    started: bool = False
    status: str | None = None
    lines: int = 0
    again: bool = False
    end: str | None = None
    retry: bool = True
    jitter: int = 0
    apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wanted(Brief):
    """What a claim asks for. Room or resources are short, never both: a store may look at no more than there is room for.

    Attributes:
        deeper_room: of a second line, for jobs below others.
    """

    queues: tuple[str, ...] = QUEUES
    kinds: tuple[str, ...] = KINDS
    version: int = 2
    room: int = 100
    deeper_room: int = 0
    cpus: float = 1000.0
    memory: int = 1 << 40

    def wants(self) -> list[Want]:
        lines = [("line", self.room, 0), ("deeper", self.deeper_room, 1)]
        return [
            Want(queue=queue, kind=kind, version=self.version, line=line, room=room, depth_min=depth_min)
            for queue in self.queues
            for kind in self.kinds
            for line, room, depth_min in lines
        ]


def a_session(number: int, *, kinds: int = 1) -> Session:
    """Labels are shared by several sessions, and differ from the host's name."""
    return Session(
        id=session_id(number),
        name=f"label-{number % 2}",
        host=f"host-{number % 3}",
        boot_id="boot",
        pid=number,
        pid_started=0.5,
        release="1",
        queues={QUEUES[0]: 1},
        kinds={KINDS[0]: kinds},
        problems=() if kinds == 1 else ("no module x",),
    )
