"""Print jobs: one line each, or how one that was waited for has ended."""

from __future__ import annotations

from collections.abc import Sequence

from heavyjobs.cli import exits
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.phrases import ending_words, facts, standing, type_name, why
from heavyjobs.cli.render import COLOURS, answer, columns, paint, safe, to_json
from heavyjobs.model import JobRecord, JobState, short_id

_INDENT = "  "


def headline(job: JobRecord) -> list[str]:
    """Which job, and how it stands."""
    return [short_id(job.id), safe(job.kind), paint(standing(job), COLOURS[job.state])]


def print_jobs(jobs: Sequence[JobRecord]) -> None:
    for line in columns([headline(job) for job in jobs]):
        answer(line)


def print_job(job: JobRecord, *, json_: bool) -> None:
    if json_:
        answer(to_json(job_document(job)))
    else:
        print_jobs([job])


def print_ending(job: JobRecord, *, json_: bool) -> Exit:
    """Print a job that was waited for; the code to exit with."""
    print_job(job, json_=json_)
    if not json_:
        print_outcome(job)
    return exits.of_state(job.state)


def print_outcome(job: JobRecord) -> None:
    """Print the result, or why there is none."""
    if job.state is JobState.DEAD and job.cause:
        answer(_INDENT + cause_line(job))
    _print_facts(job.result or job.error)


def print_last_line(job: JobRecord) -> None:
    """Print what is left to say of a job whose attempts were told: the result, or the state that it ended in."""
    if job.state is JobState.SUCCEEDED:
        _print_facts(job.result)
    else:
        answer(paint(_end(job), COLOURS[job.state]))


def _end(job: JobRecord) -> str:
    if job.state is not JobState.DEAD:
        return job.state.value
    return f"dead after attempt {job.attempt} of {job.policy.attempts}" if job.attempt else "dead, never started"


def _print_facts(text: str | None) -> None:
    for line in fact_lines(facts(text)):
        answer(line)


def fact_lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Names and values as indented columns; a value that has no name stands alone."""
    if not pairs:
        return []
    return [_INDENT + line for line in columns([pair if pair[0] else pair[1:] for pair in pairs])]


def cause_line(job: JobRecord) -> str:
    """`raised: OSError: disk full`; of a typed error, whose fields are shown elsewhere, only the name."""
    if job.cause is None:
        return ""
    reason = type_name(job.cause) if job.error and job.cause.type else why(job.cause)
    return ending_words(job.cause.ending) + (f": {reason}" if reason else "")
