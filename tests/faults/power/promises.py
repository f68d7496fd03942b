"""What a store was asked for and what it has told, as remarks between the writes; and what must be there in the end.

What was told as durable must survive from that moment on. What was told without (ticks, news, logs of those who still run)
may be lost to a power cut, but only from the end: as soon as a durable change was asked and told after it, it must survive too.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from heavyjobs.history import examine
from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord, JobState

T = TypeVar("T")

Fact: TypeAlias = Sequence[Any]
"""What has been told, ready for JSON: a word and its arguments, see `holds`."""


class Told:
    """Remarks on each call what it asks, and what its answer tells.

    Args:
        remark: takes a remark, at once and in order.

    Attributes:
        numbers: that grow, in later processes too.
    """

    def __init__(self, remark: Callable[[dict[str, Any]], None]) -> None:
        self._remark: Final = remark
        self.numbers: Final = count(time.time_ns())

    async def call(
        self,
        verb: Awaitable[T],
        facts: Callable[[T], Iterable[Fact]],
        *,
        durable: bool = True,
        together: Iterable[UUID] = (),
    ) -> T:
        """Await a verb of the store.

        Args:
            facts: what its answer tells.
            together: jobs of which all must be there or none, whatever happens.
        """
        number = next(self.numbers)
        self._remark({"asks": number, "together": [str(job) for job in together]})
        answer = await verb
        self._remark({"told": number, "durable": durable, "facts": [list(fact) for fact in facts(answer)]})
        return answer


class Promises:
    """What must be there by now, if the power goes or (`crash_only`) just the process."""

    def __init__(self, *, crash_only: bool = False) -> None:
        self.facts: Final[list[Fact]] = []
        self.together: Final[list[list[UUID]]] = []
        self._crash_only: Final = crash_only
        self._asked: Final[dict[int, int]] = {}
        self._loose: list[tuple[int, Fact]] = []
        self._time: Final = count()

    def take(self, remark: Mapping[str, Any]) -> None:
        """Take in the next remark."""
        now = next(self._time)
        if "asks" in remark:
            self._asked[remark["asks"]] = now
            if remark["together"]:
                self.together.append([UUID(job) for job in remark["together"]])
        elif not remark["facts"]:
            pass  # it changed nothing, so nothing had to be written
        elif remark["durable"] or self._crash_only:
            asked = self._asked[remark["told"]]
            self.facts.extend(fact for at, fact in self._loose if at < asked)
            self._loose = [(at, fact) for at, fact in self._loose if at >= asked]
            self.facts.extend(remark["facts"])
        else:
            self._loose += [(now, fact) for fact in remark["facts"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that a database holds."""

    jobs: Mapping[UUID, JobRecord] = field(default_factory=dict[UUID, JobRecord])
    invocations: Mapping[ClaimKey, InvocationRecord] = field(default_factory=dict[ClaimKey, InvocationRecord])
    sessions: Mapping[UUID, CoordinatorRecord] = field(default_factory=dict[UUID, CoordinatorRecord])
    chunks: Mapping[ClaimKey, Sequence[tuple[int, int]]] = field(default_factory=dict[ClaimKey, Sequence[tuple[int, int]]])
    checkpoints: Mapping[UUID, str] = field(default_factory=dict[UUID, str])


def broken(promises: Promises, found: Found) -> Iterator[str]:
    """Each promise that was not kept, and each thing that is half."""
    for fact in promises.facts:
        if not holds(fact, found):
            yield f"told before the cut, and lost: {' '.join(map(str, fact))}"
    for jobs in promises.together:
        if 0 < len(found.jobs.keys() & set(jobs)) < len(jobs):
            yield f"submitted together, and there in part: {', '.join(map(str, jobs))}"
    for finding in examine(
        jobs=found.jobs.values(),
        invocations=found.invocations.values(),
        sessions=found.sessions.values(),
        chunks=found.chunks,
    ):
        yield str(finding)


def holds(fact: Fact, found: Found) -> bool:
    """Whether what was told is still so, or has been followed by something newer."""
    word, subject, *rest = fact
    match word:
        case "ticked" | "registered" | "fenced":
            session = found.sessions.get(UUID(subject))
            return session is not None and _holds_of_session(word, rest, session)
        case _:
            job = found.jobs.get(UUID(subject))
            return job is not None and _holds_of_job(word, rest, job, found)


def _holds_of_session(word: str, rest: Sequence[Any], session: CoordinatorRecord) -> bool:
    match word:
        case "ticked":
            return session.tick >= int(rest[0])
        case "fenced":
            return session.fenced_at is not None
        case _:
            return True


def _holds_of_job(word: str, rest: Sequence[Any], job: JobRecord, found: Found) -> bool:
    match word, *rest:
        case "submitted", parameters:
            return job.parameters == str(parameters)
        case "cancelled", epoch:
            return job.epoch > int(epoch) or job.state is JobState.CANCELLED
        case "sent again", epoch:
            return job.epoch >= int(epoch)
        case "keeps", number:
            return int(found.checkpoints.get(job.id, "-1")) >= int(number)
        case _, number, *more:
            run = found.invocations.get(ClaimKey(job.id, number))
            return run is not None and job.claim >= int(number) and _holds_of_run(word, more, job, run)
        case _:
            raise AssertionError(f"{word} {rest}: nobody knows what that means")


def _holds_of_run(word: str, rest: Sequence[Any], job: JobRecord, run: InvocationRecord) -> bool:
    match word, *rest:
        case "claimed", *_:
            return True
        case "is to stop", *_:
            return job.cancel_requested_at is not None or run.ended_at is not None
        case "said", lines:
            return run.log_lines >= int(lines)
        case "forfeited", *_:
            return run.ending == "forfeited"
        case "ended", ending, state, lines:
            newest = job.claim == run.claim.number and job.epoch == run.epoch
            moved_on = job.state.ended and not JobState(state).ended  # cancelled while it waited
            return (
                run.ending == str(ending)
                and run.log_lines == int(lines)
                and (not newest or moved_on or _as_told(job.state, state))
            )
        case _:
            raise AssertionError(f"{word} {rest}: nobody knows what that means")


def _as_told(state: JobState, told: str) -> bool:
    waiting = {JobState.READY, JobState.SCHEDULED}
    return state == told or (state in waiting and told in waiting)
