"""What holds of every database of jobs, whatever was asked of it: read from two pictures of a store, never from the reference.

A reference can be wrong in the same way as what is compared with it; these rules are said a second time, in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias
from uuid import UUID

from heavyjobs.model import MOVES, Ending, InvocationRecord, JobRecord, JobState
from heavyjobs.testing.contract.machine.picture import Picture

Rule: TypeAlias = Callable[[Picture, Picture], Iterator[str]]


def broken(before: Picture, now: Picture) -> list[str]:
    """Which rules one verb has broken, and how."""
    return list(chain.from_iterable(rule(before, now) for rule in RULES))


def no_job_is_lost(before: Picture, now: Picture) -> Iterator[str]:
    for job in before.jobs.keys() - now.jobs.keys():
        yield f"{job} was there, and is gone"


def jobs_move_along_the_table(before: Picture, now: Picture) -> Iterator[str]:
    for was, job in _pairs(before, now):
        if was.state is not job.state and job.state not in MOVES[was.state]:
            yield f"{job.id} went from {was.state} to {job.state}"


def an_outcome_is_written_once(before: Picture, now: Picture) -> Iterator[str]:
    for was, job in _pairs(before, now):
        again = job.epoch != was.epoch
        if again and (job.epoch != was.epoch + 1 or was.state not in {JobState.DEAD, JobState.CANCELLED}):
            yield f"{job.id} was {was.state} in epoch {was.epoch} and is in epoch {job.epoch}"
        if was.state.ended and not again and _outcome(was) != _outcome(job):
            yield f"{job.id} had ended as {_outcome(was)}, and is {_outcome(job)} now"


def claim_numbers_grow_by_one(before: Picture, now: Picture) -> Iterator[str]:
    for was, job in _pairs(before, now):
        if job.claim not in {was.claim, was.claim + 1}:
            yield f"{job.id} went from claim {was.claim} to {job.claim}"
        if job.claim == was.claim and job.state is JobState.RUNNING and was.state is not JobState.RUNNING:
            yield f"{job.id} runs without a new claim"
    for job in now.jobs.values():
        numbers = [each.claim.number for each in _runs(now, job)]
        if numbers != list(range(1, job.claim + 1)):
            yield f"{job.id} has claim {job.claim} and invocations {numbers}"


def who_runs_is_held_once_by_a_session_that_lives(_before: Picture, now: Picture) -> Iterator[str]:
    for job in now.jobs.values():
        is_open = [each for each in _runs(now, job) if each.ended_at is None]
        if [each.claim.number for each in is_open] != ([job.claim] if job.state is JobState.RUNNING else []):
            yield f"{job.id} is {job.state} at claim {job.claim}, open are {[each.claim.number for each in is_open]}"
        for each in is_open:
            session = now.sessions.get(each.session)
            if session is None or session.fenced_at is not None or session.ended_at is not None:
                yield f"{job.id} is held by a session that is gone"
            elif each.claim not in now.held[each.session]:
                yield f"{job.id} is running, and its session is not told that it holds it"


def what_an_invocation_left_stays(before: Picture, now: Picture) -> Iterator[str]:
    for job in before.invocations:
        for was, each in zip(before.invocations[job], now.invocations.get(job, ()), strict=False):
            if was.ended_at is not None and _left(was) != _left(each):
                yield f"{was.claim} had ended as {_left(was)}, and is {_left(each)} now"


def attempts_are_charged_once_each(_before: Picture, now: Picture) -> Iterator[str]:
    for job in now.jobs.values():
        charged = [
            each
            for each in _runs(now, job)
            if each.epoch == job.epoch and each.started_at is not None and each.ending is not Ending.HANDED_BACK
        ]
        if job.attempt != len(charged):
            yield f"{job.id} is charged {job.attempt} attempts, and started {len(charged)} that cost one"


def a_key_has_one_live_owner(_before: Picture, now: Picture) -> Iterator[str]:
    owners: dict[tuple[str, str], UUID] = {}
    for job in now.jobs.values():
        if job.unique_key is not None and not job.state.ended:
            other = owners.setdefault((job.kind, job.unique_key), job.id)
            if other != job.id:
                yield f"{job.id} and {other} both have the key {job.unique_key}"


def the_fallen_take_their_families_with_them(before: Picture, now: Picture) -> Iterator[str]:
    fallen = {
        job.id
        for was, job in _pairs(before, now)
        if job.state in {JobState.DEAD, JobState.CANCELLED} and was.state is not job.state
    }
    for job in now.jobs.values():
        if fallen & set(_ancestors(now, job)) and not job.state.ended and job.cancel_requested_at is None:
            yield f"{job.id} is {job.state} after one above it has fallen"


def logs_have_no_gap_and_are_counted(_before: Picture, now: Picture) -> Iterator[str]:
    for each in chain.from_iterable(now.invocations.values()):
        chunks, line = now.logs.get(each.claim, ()), 0
        for chunk in chunks:
            if chunk.first != line:
                yield f"{each.claim}: line {chunk.first} follows line {line - 1}"
            line = chunk.first + chunk.lines
        size = sum(len(chunk.data.encode()) for chunk in chunks)
        if (each.log_lines, each.log_bytes) != (line, size):
            yield f"{each.claim}: {each.log_lines} lines of {each.log_bytes} bytes are said, {line} of {size} are there"


def times_belong_to_states(_before: Picture, now: Picture) -> Iterator[str]:
    for job in now.jobs.values():
        times = (job.due_at is not None, job.ready_at is not None, job.finished_at is not None)
        if times != (job.state is JobState.SCHEDULED, job.state is JobState.READY, job.state.ended):
            yield f"{job.id} is {job.state}, with the times (due, ready, finished) {times}"
        if job.cancel_requested_at is not None and job.state is not JobState.RUNNING:
            yield f"{job.id} is {job.state}, and still asked to stop"


RULES: Final[Sequence[Rule]] = (
    no_job_is_lost,
    jobs_move_along_the_table,
    an_outcome_is_written_once,
    claim_numbers_grow_by_one,
    who_runs_is_held_once_by_a_session_that_lives,
    what_an_invocation_left_stays,
    attempts_are_charged_once_each,
    a_key_has_one_live_owner,
    the_fallen_take_their_families_with_them,
    logs_have_no_gap_and_are_counted,
    times_belong_to_states,
)


def _pairs(before: Picture, now: Picture) -> Iterator[tuple[JobRecord, JobRecord]]:
    return ((was, now.jobs[job]) for job, was in before.jobs.items() if job in now.jobs)


def _runs(picture: Picture, job: JobRecord) -> Sequence[InvocationRecord]:
    return picture.invocations.get(job.id, ())


def _ancestors(picture: Picture, job: JobRecord) -> Iterator[UUID]:
    """A job can name a parent that is not there, and none of ours its own descendant."""
    while job.parent is not None:
        yield job.parent
        if job.parent not in picture.jobs:
            return
        job = picture.jobs[job.parent]


def _outcome(job: JobRecord) -> tuple[object, ...]:
    return job.state, job.result, job.error, job.cause


def _left(each: InvocationRecord) -> tuple[object, ...]:
    return each.ending, each.status, each.cause, each.bill, each.log_lines, each.log_bytes, each.log_dropped_lines
