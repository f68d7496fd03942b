"""Jobs that a job spawns: what its context asks of the coordinator about them, and how the answers read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Never, TypeAlias
from uuid import UUID

from typing_extensions import TypeVar

from heavyjobs import events
from heavyjobs.errors import JobCancelled, JobDead
from heavyjobs.model import CAUSE_UNKNOWN, Cancelled, Cause, Dead, E, JobState, Outcome, R, Succeeded, short_id
from heavyjobs.values import JsonText

if TYPE_CHECKING:
    from heavyjobs.job import Job

E2 = TypeVar("E2", default=Never)


@dataclass(frozen=True, slots=True)
class Child(Generic[R, E]):
    """A spawned job, whose result can be gathered."""

    id: UUID
    type: type[Job[R, Any, E]]


Spawnable: TypeAlias = "Job[R, Any, E] | Child[R, E]"
"""What can be waited for: a job, which is spawned first, or a child that was."""


def batches_of(children: Sequence[events.NewChild]) -> list[events.Spawn]:
    """Requests that each fit into a frame."""
    batches: list[list[events.NewChild]] = []
    size = 0
    for child in children:
        size += len(child.parameters)
        if not batches or len(batches[-1]) == events.CHILDREN_MAX or size > events.SPAWN_MAX_BYTES:
            batches.append([])
            size = len(child.parameters)
        batches[-1].append(child)
    return [events.Spawn(tuple(batch)) for batch in batches]


def reads_of(jobs: Sequence[UUID]) -> list[events.ReadEnds]:
    """Requests whose answers each fit into a frame."""
    return [events.ReadEnds(tuple(jobs[at : at + events.ENDS_MAX])) for at in range(0, len(jobs), events.ENDS_MAX)]


def ids_in(answer: JsonText) -> list[UUID]:
    return events.read(events.CHILD_IDS, answer)


def ends_in(answer: JsonText) -> list[events.ChildEnd]:
    return events.read(events.CHILD_ENDS, answer)


def first_death_or_all(states: Sequence[events.ChildState]) -> list[UUID]:
    """Whose ends are worth reading: one that has no result says all."""
    deaths = [end.job for end in states if end.state is not JobState.SUCCEEDED]
    return deaths[:1] or [end.job for end in states]


def await_request(children: Sequence[Child[Any, Any]], *, first_death: bool) -> events.Await:
    return events.Await(tuple(child.id for child in children), first_death)


def cancel_request(children: Sequence[Child[Any, Any]]) -> events.CancelJobs:
    return events.CancelJobs(tuple(child.id for child in children))


def statuses_request(children: Sequence[Child[Any, Any]]) -> events.ReadStatuses:
    return events.ReadStatuses(tuple(child.id for child in children))


def statuses_in(children: Sequence[Child[Any, Any]], answer: JsonText) -> list[Any]:
    texts = events.read(events.CHILD_STATUSES, answer)
    return [_status(child.type, text) for child, text in zip(children, texts, strict=True)]


def _status(job_type: type[Job[Any, Any, Any]], text: JsonText | None) -> Any:
    adapter = job_type.status_adapter()
    return None if adapter is None or text is None else adapter.validate_json(text)


def in_order(jobs: Sequence[Spawnable[R, E2]], new_ids: Iterator[UUID]) -> list[Child[R, E2]]:
    return [job if isinstance(job, Child) else Child(next(new_ids), type(job)) for job in jobs]


def results_of(children: Sequence[Child[R, Any]], ends: Sequence[events.ChildEnd]) -> list[R]:
    """The results of children that all succeeded.

    Raises:
        JobDead, JobCancelled: for the first end that is another; then some children may have no end yet.
    """
    by_id = {child.id: child for child in children}
    results: dict[UUID, R] = {}
    for end in ends:
        match read_outcome(by_id[end.job].type, end):
            case Succeeded(result):
                results[end.job] = result
            case Dead(error, cause):
                raise JobDead(f"child {short_id(end.job)}: {end.message}", job_id=end.job, cause=cause, error=error)
            case Cancelled():
                raise JobCancelled(f"child {short_id(end.job)} was cancelled", job_id=end.job, cause=None)
    return [results[child.id] for child in children]


def outcomes_of(children: Sequence[Child[R, E2]], ends: Sequence[events.ChildEnd]) -> list[Outcome[R, E2]]:
    by_id = {end.job: end for end in ends}
    return [read_outcome(child.type, by_id[child.id]) for child in children]


def read_outcome(job_type: type[Job[R, Any, E2]], end: events.ChildEnd) -> Outcome[R, E2]:
    """The typed outcome of a job that has ended."""
    match JobState(end.state):
        case JobState.SUCCEEDED:
            return Succeeded(job_type.result_adapter().validate_json(end.result or "null"))
        case JobState.CANCELLED:
            return Cancelled()
        case _:
            adapter = job_type.error_adapter()
            error = adapter.validate_json(end.error) if adapter is not None and end.error is not None else None
            cause = Cause(end.ending, end.message, traceback=end.traceback) if end.ending else CAUSE_UNKNOWN
            return Dead(error, cause)
