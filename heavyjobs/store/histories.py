"""Read a whole database's history in pages, and judge it: memory holds one page, whatever the size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from heavyjobs.history import Finding, JobHistory, Witness, judge, lost
from heavyjobs.model import CoordinatorRecord, InvocationRecord, JobRecord
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter

PAGE_JOBS: Final = 200
AT_ONCE: Final = 4
FINDINGS_MAX: Final = 1000
"""Kept in full; what comes after is counted."""

READINGS: Final = 5
"""How often a job that looks wrong is read: while others work, two statements may see two moments."""


@dataclass(slots=True)
class Report:
    """What was read and what is wrong. `findings` are at most `FINDINGS_MAX` of the `found`."""

    jobs: int = 0
    invocations: int = 0
    lines: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])

    def count(self, history: JobHistory) -> None:
        """Add what was read of one job."""
        self.jobs += 1
        self.invocations += len(history.invocations)
        self.lines += sum(lines for rows in (history.chunks or {}).values() for _, lines in rows)

    def add(self, findings: Sequence[Finding]) -> None:
        """Add what is wrong."""
        self.found += len(findings)
        self.findings += findings[: max(0, FINDINGS_MAX - len(self.findings))]


async def examine_store(
    store: Store,
    *,
    accepted: Collection[UUID] = (),
    witnessed: Mapping[UUID, Sequence[Witness]] | None = None,
    settled: bool = False,
) -> Report:
    """Judge all that a database tells, also while it is worked on: a job that looks wrong is read again, to be sure.

    Args:
        accepted, settled: as `heavyjobs.history.examine`.
        witnessed: by job.

    Raises:
        StoreUnavailable: it went away meanwhile; nothing is known.
    """
    report = Report()
    missing = set(accepted)
    reader = _Reader(store, witnessed or {})
    async for page in _pages(store):
        missing.difference_update(job.id for job in page)
        await reader.know_sessions()
        parents = await store.get_many({job.parent for job in page if job.parent is not None})
        for start in range(0, len(page), AT_ONCE):
            some = page[start : start + AT_ONCE]
            reading = (reader.judged(job, _parent(job, parents), settled=settled) for job in some)
            for history, findings in await asyncio.gather(*reading):
                report.count(history)
                report.add(findings)
    # Submitted while the pages were read, and newer than the first of them.
    report.add(list(lost(missing, await store.get_many(missing))))
    return report


async def _pages(store: Store) -> AsyncIterator[Sequence[JobRecord]]:
    before = None
    while page := await store.list(Filter(before=before, limit=PAGE_JOBS)):
        yield page
        before = page[-1].id


def _parent(job: JobRecord, parents: Mapping[UUID, JobRecord]) -> JobRecord | None:
    return None if job.parent is None else parents.get(job.parent)


class _Reader:
    def __init__(self, store: Store, witnessed: Mapping[UUID, Sequence[Witness]]) -> None:
        self._store = store
        self._witnessed = witnessed
        self._sessions: Mapping[UUID, CoordinatorRecord] = {}

    async def know_sessions(self) -> None:
        self._sessions = {record.session.id: record for record in await self._store.coordinators(ended=True)}

    async def judged(self, job: JobRecord, parent: JobRecord | None, *, settled: bool) -> tuple[JobHistory, Sequence[Finding]]:
        """A job's history, and what was wrong with it each time it was read."""
        history = await self._read(job, parent)
        findings: Sequence[Finding] = judge(history, settled=settled)
        for _ in range(READINGS - 1):
            if not findings:
                break
            history = await self._read_again(job)
            again = {(finding.rule, finding.claim) for finding in judge(history, settled=settled)}
            findings = [finding for finding in findings if (finding.rule, finding.claim) in again]
        return history, findings

    async def _read_again(self, job: JobRecord) -> JobHistory:
        """The parent before the child: one that has fallen took its children along in the same transaction."""
        await self.know_sessions()
        parents = await self._store.get_many([job.parent] if job.parent else [])
        jobs = await self._store.get_many([job.id])
        return await self._read(jobs[job.id], _parent(job, parents))

    async def _read(self, job: JobRecord, parent: JobRecord | None) -> JobHistory:
        """Logs after their invocations: they only grow."""
        invocations = await self._store.invocations(job.id)
        return JobHistory(
            job=job,
            invocations=invocations,
            sessions=self._sessions,
            parent=parent,
            chunks={run.claim.number: await self._rows(run) for run in invocations},
            witnessed=self._witnessed.get(job.id, ()),
        )

    async def _rows(self, run: InvocationRecord) -> Sequence[tuple[int, int]]:
        rows: list[tuple[int, int]] = []
        following = 0
        while page := await self._store.log_rows(run.claim.job, claim=run.claim.number, first=following):
            rows += page
            following = page[-1][0] + 1
        return rows
