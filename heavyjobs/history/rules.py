"""The rules, one function each: what is wrong as `(claim, text)`, the text saying what is seen and what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, pairwise
from typing import Final, TypeAlias

from heavyjobs.history.records import JobHistory, Rule
from heavyjobs.model import STARTS_MAX, Ending, InvocationRecord, JobRecord, JobState

Wrong: TypeAlias = Iterator[tuple[int | None, str]]

_FALLEN: Final = frozenset({JobState.DEAD, JobState.CANCELLED})
_FINAL: Final = frozenset({Ending.SUCCEEDED, Ending.CANCELLED})
"""After these nobody tries again."""
_DEADLY: Final = frozenset(Ending) - _FINAL - {Ending.HANDED_BACK}


def fitting(history: JobHistory) -> Wrong:
    """State, times, result, error and cause of the job's row agree, and those of its invocations' rows."""
    job = history.job
    parts = {
        "an end time": (job.finished_at is not None, job.state.ended, True),
        "a due time": (job.due_at is not None, job.state is JobState.SCHEDULED, True),
        "a place in the line": (job.ready_at is not None, job.state is JobState.READY, True),
        "a cancel request": (job.cancel_requested_at is not None, job.state is JobState.RUNNING, False),
        "a result": (job.result is not None, job.state is JobState.SUCCEEDED, True),
        "an error": (job.error is not None, job.state is JobState.DEAD, False),
        "a cause": (job.cause is not None, job.state in _FALLEN, True),
    }
    for part, (has, may, must) in parts.items():
        if has and not may:
            yield None, f"is {job.state}, but has {part}: its row contradicts itself"
        if must and may and not has:
            yield None, f"is {job.state}, but has not {part}: its row tells half"
    for run in history.invocations:
        if (run.ended_at is None) != (run.ending is None):
            yield run.claim.number, f"ended at {run.ended_at} as {run.ending}: its row tells half"
        if run.ending not in {None, Ending.SUCCEEDED} and run.cause is None:
            yield run.claim.number, f"{run.ending} without a cause: nobody can tell why"


def claims(history: JobHistory) -> Wrong:
    """Claims are numbered from 1 without gaps up to the job's, and epochs never fall."""
    job = history.job
    numbers = [run.claim.number for run in history.invocations]
    if numbers != list(range(1, job.claim + 1)):
        told = ", ".join(map(str, numbers[:20])) or "none"
        yield None, f"was claimed {job.claim} times, its invocations are {told}: a run is missing, or was never claimed"
    epochs = [run.epoch for run in history.invocations]
    if epochs != sorted(epochs) or any(not 1 <= epoch <= job.epoch for epoch in epochs):
        yield None, f"is in epoch {job.epoch}, its invocations in {epochs[:20]}: a run belongs to a life the job has not had"


def endings(history: JobHistory) -> Wrong:
    """In each epoch the last invocation brings the end, no earlier one does, and the job's state is what that end says."""
    job = history.job
    last: InvocationRecord | None = None
    for epoch, group in groupby(history.invocations, key=lambda run: run.epoch):
        *earlier, last = group
        for run in earlier:
            if run.ending in _FINAL:
                yield run.claim.number, f"{run.ending} in epoch {epoch}, yet claimed again in it: the job went on after its end"
        if epoch < job.epoch and last.ending is Ending.SUCCEEDED:
            yield last.claim.number, f"succeeded in epoch {epoch}, yet there is a later one: a job with a result was sent again"
    newest = last if last is not None and last.epoch == job.epoch else None
    number = None if newest is None else newest.claim.number
    ending = None if newest is None else newest.ending
    if not _brings(ending, job.state):
        how = f"ended as {ending}" if newest else "there is none"
        yield number, f"the job is {job.state}, but of its last invocation in epoch {job.epoch}: {how}; the outcome is not true"
    if job.state is JobState.DEAD and job.cause is not None and ending is not None and job.cause.ending is not ending:
        yield number, f"{ending}, but the job says it died of {job.cause.ending}: the cause is another's"


def _brings(ending: Ending | None, state: JobState) -> bool:
    """Whether an epoch whose last invocation ended so (None: open, or there is none) may leave its job in this state."""
    match state:
        case JobState.SUCCEEDED:
            return ending is Ending.SUCCEEDED
        case JobState.DEAD:
            return ending in _DEADLY
        case JobState.CANCELLED:  # requested or while it waited: whatever came before, but not beside a result
            return ending is not Ending.SUCCEEDED
        case _:
            return ending not in _FINAL


def open_ones(history: JobHistory) -> Wrong:
    """A running job has one open invocation, its newest; any other job has none."""
    job = history.job
    running = job.state is JobState.RUNNING
    opened = [run.claim.number for run in history.invocations if run.ended_at is None]
    for number in opened:
        if not running:
            yield number, f"is open, but the job is {job.state}: nobody will ever end it"
        elif number != job.claim:
            yield number, f"is open, but claim {job.claim} holds the job: two may be at work"
    if running and job.claim not in opened:
        yield job.claim, "the job is running, but this, its newest invocation, is not open: nobody works on it"


def attempts(history: JobHistory) -> Wrong:
    """Attempts count from 1 in each epoch, one more after each charged ending, within the budget."""
    job = history.job
    charged = 0
    for epoch, group in groupby(history.invocations, key=lambda run: run.epoch):
        charged = unstarted = 0
        for run in group:
            if run.attempt != charged + 1:
                yield run.claim.number, f"is attempt {run.attempt}, but {charged} were charged before it in epoch {epoch}"
            charged += _charged(run)
            if run.started_at is not None:
                unstarted = 0
            elif run.ending is not Ending.HANDED_BACK:
                unstarted += 1
            if unstarted > STARTS_MAX:
                yield run.claim.number, f"is the {unstarted}th in a row that did not start: {STARTS_MAX} are the end"
            if run.attempt > job.policy.attempts:
                budget = f"the budget is {job.policy.attempts} (unless it was lowered since)"
                yield run.claim.number, f"is attempt {run.attempt}, but {budget}: the job is tried too often"
    counted = charged if history.invocations and history.invocations[-1].epoch == job.epoch else 0
    if job.attempt != counted:
        yield None, f"counts {job.attempt} attempts in epoch {job.epoch}, its invocations say {counted}: its budget is wrong"


def _charged(run: InvocationRecord) -> bool:
    if run.ending is Ending.HANDED_BACK:
        return False
    return run.started_at is not None or run.ending is Ending.SUCCEEDED


def order(history: JobHistory) -> Wrong:
    """No invocation was opened before the one before it had ended, by the database's clock."""
    for before, run in pairwise(history.invocations):
        if before.ended_at is None:
            yield run.claim.number, f"was opened while claim {before.claim.number} is open still: two may be at work"
        elif run.opened_at < before.ended_at:
            early = f"{(before.ended_at - run.opened_at).total_seconds():.6f} s before claim {before.claim.number} had ended"
            yield run.claim.number, f"was opened {early}: two were at work, or the database's clock was set back meanwhile"


def overlap(history: JobHistory) -> Wrong:
    """No two copies of the job worked at the same time, and no claim was worked on twice."""
    known = {run.claim.number for run in history.invocations}
    seen: set[int] = set()
    latest = None
    for one in sorted(history.witnessed, key=lambda one: (one.began, one.ended)):
        if one.claim not in known:
            yield one.claim, "was at work, but there is no such invocation: it ran without a claim"
        if one.claim in seen:
            yield one.claim, "was begun twice: one claim, two copies"
        if latest is not None and one.began < latest.ended:
            both = f"began {latest.ended - one.began:.3f} s before claim {latest.claim} was seen for the last time"
            yield one.claim, f"{both}: two copies were at work"
        seen.add(one.claim)
        latest = one if latest is None or one.ended > latest.ended else latest


def logs(history: JobHistory) -> Wrong:
    """Lines are stored without gaps from 0, as many as the invocation says (an open one may be ahead of its row as read)."""
    if history.chunks is None:
        return
    runs = {run.claim.number: run for run in history.invocations}
    for claim in sorted(history.chunks.keys() | runs.keys()):
        if claim not in runs:
            yield claim, "has log rows, but there is no such invocation"
            continue
        following = 0
        for first, lines in history.chunks.get(claim, ()):
            if first != following:
                what = "are missing" if first > following else "are there twice"
                yield claim, f"lines {min(first, following)} to {max(first, following) - 1} {what}: its log is not whole"
            following = first + lines
        counted = runs[claim].log_lines
        if following < counted or (following > counted and runs[claim].ended_at is not None):
            yield claim, f"{following} lines are stored, its row says {counted}: its log is not whole"


def sessions(history: JobHistory) -> Wrong:
    """Every claim was made by a session that is known."""
    for run in history.invocations:
        if run.session not in history.sessions:
            yield run.claim.number, f"was claimed by session {run.session}, which never was: nobody watches over it"


def holder(history: JobHistory) -> Wrong:
    """A running job is held by a session that is neither ended nor fenced."""
    if history.job.state is not JobState.RUNNING or not history.invocations:
        return
    newest = history.invocations[-1]
    held_by = history.sessions.get(newest.session)
    if held_by is not None and (gone := held_by.fenced_at or held_by.ended_at):
        how = "was declared dead" if held_by.fenced_at else "ended"
        yield newest.claim.number, f"is held by {held_by.session.name}, whose session {how} at {gone}: it is stuck for ever"


def family(history: JobHistory) -> Wrong:
    """A parent exists and is one floor up; nothing lives on below the dead and cancelled."""
    job, parent = history.job, history.parent
    if job.parent is None:
        if job.depth != 0:
            yield None, f"has no parent, but depth {job.depth}"
        return
    if job.child_key is None:
        yield None, "has a parent, but no key there: a second spawn would not find it"
    if parent is None:
        yield None, f"its parent {job.parent} is not there: nobody awaits it"
        return
    if job.depth != parent.depth + 1:
        yield None, f"has depth {job.depth}, its parent {parent.depth}"
    if parent.state in _FALLEN and not job.state.ended and job.cancel_requested_at is None and not _sent_again(history, parent):
        yield None, f"is {job.state} and was not asked to stop, but its parent is {parent.state}: it works for nobody"


def _sent_again(history: JobHistory, parent: JobRecord) -> bool:
    """Whether someone sent the job again after its parent had ended, which is no fault."""
    job = history.job
    if job.epoch == 1 or parent.finished_at is None:
        return False
    opened = [run.opened_at for run in history.invocations if run.epoch == job.epoch]
    since = min(opened, default=job.ready_at or job.due_at)
    return since is None or since > parent.finished_at


CHECKS: Final[Mapping[Rule, Callable[[JobHistory], Wrong]]] = {
    Rule.FITTING: fitting,
    Rule.CLAIMS: claims,
    Rule.ENDINGS: endings,
    Rule.OPEN: open_ones,
    Rule.ATTEMPTS: attempts,
    Rule.ORDER: order,
    Rule.OVERLAP: overlap,
    Rule.LOGS: logs,
    Rule.SESSIONS: sessions,
    Rule.HOLDER: holder,
    Rule.FAMILY: family,
}
