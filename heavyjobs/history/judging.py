"""Hold histories against all rules: one job's, or a whole database's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from heavyjobs.history.records import Finding, JobHistory, Rule, Witness
from heavyjobs.history.rules import CHECKS
from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord


def judge(history: JobHistory, *, settled: bool = False) -> list[Finding]:
    """What is wrong with one job.

    Args:
        settled: whether it should have ended by now.
    """
    job = history.job
    found = [Finding(rule, job.id, claim, text) for rule, check in CHECKS.items() for claim, text in check(history)]
    if settled and not job.state.ended:
        found.append(Finding(Rule.SETTLED, job.id, job.claim or None, f"still {job.state}: it should have ended by now"))
    return found


def lost(accepted: Iterable[UUID], found: Collection[UUID]) -> Iterator[Finding]:
    """Those that were accepted and are not there."""
    for job in accepted:
        if job not in found:
            yield Finding(Rule.ACCEPTED, job, None, "was accepted, but is not in the database: it is lost")


def examine(
    *,
    jobs: Iterable[JobRecord],
    invocations: Iterable[InvocationRecord],
    sessions: Iterable[CoordinatorRecord],
    chunks: Mapping[ClaimKey, Sequence[tuple[int, int]]] | None = None,
    witnessed: Iterable[Witness] = (),
    accepted: Iterable[UUID] = (),
    settled: bool = False,
) -> list[Finding]:
    """What is wrong with a whole history that is in memory; for a database see `heavyjobs.store.histories`.

    Args:
        chunks: `(first line, lines)` of each stored log row, in order; None where logs are not judged.
        witnessed: who worked when, by one clock.
        accepted: ids whose submit returned; each has to be among `jobs`.
        settled: whether every job should have ended by now.
    """
    by_id = {job.id: job for job in jobs}
    by_session = {record.session.id: record for record in sessions}
    runs: dict[UUID, list[InvocationRecord]] = defaultdict(list)
    for invocation in sorted(invocations, key=lambda invocation: invocation.claim):
        runs[invocation.claim.job].append(invocation)
    rows: dict[UUID, dict[int, Sequence[tuple[int, int]]]] = defaultdict(dict)
    for claim, firsts in (chunks or {}).items():
        rows[claim.job][claim.number] = firsts
    seen: dict[UUID, list[Witness]] = defaultdict(list)
    for witness in witnessed:
        seen[witness.job].append(witness)
    found = list(lost(accepted, by_id))
    found += _strays(by_id, {**runs, **rows, **seen})
    for job in by_id.values():
        history = JobHistory(
            job=job,
            invocations=runs[job.id],
            sessions=by_session,
            parent=None if job.parent is None else by_id.get(job.parent),
            chunks=None if chunks is None else rows[job.id],
            witnessed=seen[job.id],
        )
        found += judge(history, settled=settled)
    return found


def _strays(jobs: Collection[UUID], told_of: Iterable[UUID]) -> Iterator[Finding]:
    for job in told_of:
        if job not in jobs:
            yield Finding(Rule.CLAIMS, job, None, "invocations, log rows or witnesses tell of it, but it is not there")
