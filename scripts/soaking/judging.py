"""Read the whole history when all is over, and say what is wrong with it.

`heavyjobs.store.histories` judges what any database has to hold; here follows what only the soak knows: how each job has to
end, which lines it said, what it kept, published and left running, and when it was seen to live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from typing import Final
from uuid import UUID

from heavyjobs.history import Witness
from heavyjobs.job import job_type
from heavyjobs.model import ClaimKey, Ending, InvocationRecord, JobRecord, JobState
from heavyjobs.store.histories import Report, examine_store
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter
from heavyjobs.values import decode
from soaking.diary import Diary
from soaking.jobs import Soaked, Writes
from soaking.lines import numbers
from soaking.traffic import Traffic
from soaking.witness import Seen

PAGE_JOBS: Final = 500

SUBMIT_SECONDS: Final = 3.0
"""A submit may wait so long for the end of the job that has its key; the time of its row is from before."""


class Judge:
    """One soak's; what it finds goes into the diary."""

    def __init__(self, store: Store, traffic: Traffic, seen: Mapping[ClaimKey, Seen], diary: Diary) -> None:
        self.jobs: Final[dict[UUID, JobRecord]] = {}
        self.runs: Final[dict[UUID, Sequence[InvocationRecord]]] = {}
        self._store: Final = store
        self._traffic: Final = traffic
        self._seen: Final = seen
        self._diary: Final = diary

    async def judge(self) -> Report:
        """All checks."""
        report = await self._by_the_rules()
        async for job in _all(self._store):
            self.jobs[job.id] = job
            self.runs[job.id] = await self._store.invocations(job.id)
        for job in self.jobs.values():
            await self._look_at(job)
        self._look_for_the_absent()
        self._look_at_unique_keys()
        self._look_at_cancels()
        return report

    async def _by_the_rules(self) -> Report:
        witnessed: dict[UUID, list[Witness]] = defaultdict(list)
        for claim, one in self._seen.items():
            copies = sum(word == "begin" for word, _ in one.notes)
            witnessed[claim.job] += max(1, copies) * [Witness(claim.job, claim.number, one.began, one.last)]
        report = await examine_store(self._store, accepted=self._traffic.accepted, witnessed=witnessed, settled=True)
        for finding in report.findings:
            self._diary.wrong(finding.rule, str(finding))
        return report

    async def _look_at(self, record: JobRecord) -> None:
        job = job_type(record.kind).parse(record.version, record.parameters)
        assert isinstance(job, Soaked)  # noqa: S101 - the soak submits no others
        self._look_at_end(record, job)
        for run in self.runs[record.id]:
            await self._look_at_lines(run, job)
        self._look_at_checkpoints(record)
        self._look_at_delay(record)
        if isinstance(job, Writes):
            self._look_at_output(record, job)

    # -- how it ended

    def _look_at_end(self, record: JobRecord, job: Soaked) -> None:
        should = job.should()
        if record.state is JobState.CANCELLED:
            if not self._may_be_cancelled(record):
                self._wrong("outcome", record, "is cancelled, and nobody asked for it")
        elif record.state is not should.state:
            why = record.cause.message[:300] if record.cause else ""
            self._wrong("outcome", record, f"is {record.state}, and should be {should.state}: {why}")
        elif should.result is not None and decode(record.result or "null") != should.result:
            self._wrong("outcome", record, f"has the result {record.result}, and should have {should.result}")
        elif should.error is not None and (record.error is None or decode(record.error) != {"number": should.error}):
            self._last_word(record)

    def _last_word(self, record: JobRecord) -> None:
        """A fault may have had the last word instead of the job's own error, at the last attempt."""
        if record.cause is None or record.cause.ending is Ending.FAILED:
            self._wrong("outcome", record, f"has the error {record.error}")

    def _may_be_cancelled(self, record: JobRecord) -> bool:
        """Whether a cancel was asked for it, or an ancestor was cancelled or is dead (or was, before it was sent again)."""
        here: JobRecord | None = record
        while here is not None:
            if here.id in self._traffic.cancelled:
                return True
            here = self.jobs.get(here.parent) if here.parent else None
        return False

    # -- what it said, kept and wrote

    async def _look_at_lines(self, run: InvocationRecord, job: Soaked) -> None:
        if not job.lines or run.log_lines == 0:
            if job.lines and run.ending is Ending.SUCCEEDED:
                self._wrong_run("lines", run, f"has succeeded without any of its {job.lines} lines")
            return
        found = await numbers(self._store, run.claim.job, run.claim.number)
        if run.ending is Ending.SUCCEEDED and found != [*range(job.lines)]:
            self._wrong_run("lines", run, f"has succeeded with {len(found)} of {job.lines} lines, or in another order")
        # The last one may have been cut off in its middle.
        if found[:-1] != [*range(len(found) - 1)]:
            self._wrong_run("lines", run, f"lines are missing before others: {_first_gap(found)}")

    def _look_at_checkpoints(self, record: JobRecord) -> None:
        """What was given back is at least what was kept, unless it was forgotten on purpose (by a second retry)."""
        ordered = self._traffic.accepted.get(record.id)
        forgotten = ordered is not None and ordered.retries > 1
        kept = 0
        for run in self.runs[record.id]:
            kept = 0 if forgotten and run.epoch > 1 else kept
            for word, steps in self._notes(run.claim):
                if word == "resumed" and steps < kept:
                    self._wrong_run("checkpoint", run, f"was given back step {steps}, and step {kept} was kept before")
                if word == "kept":
                    kept = max(kept, steps)

    def _notes(self, claim: ClaimKey) -> Sequence[tuple[str, int]]:
        return self._seen[claim].notes if claim in self._seen else ()

    def _look_at_delay(self, record: JobRecord) -> None:
        ordered, runs = self._traffic.accepted.get(record.id), self.runs[record.id]
        if ordered is None or not runs or record.epoch > 1:
            return
        early = ordered.delay - (runs[0].opened_at - record.created_at).total_seconds()
        if early > 0.001:
            self._wrong("delay", record, f"was begun {early:.3f} s too early")

    def _look_at_output(self, record: JobRecord, job: Writes) -> None:
        if not job.target.exists():
            if record.state is JobState.SUCCEEDED:
                self._wrong("output", record, f"has succeeded, and {job.target.name} is not there")
            return
        first, *rest, last = job.target.read_text().splitlines()
        number, claim = map(int, first.split())
        if (number, last, len(rest)) != (job.number, "whole", 1000):
            self._wrong("output", record, f"{job.target.name} is not whole, or another's")
        if record.state is JobState.SUCCEEDED and claim != self.runs[record.id][-1].claim.number:
            self._wrong(
                "output", record, f"{job.target.name} was published by claim {claim}, which is not the one that succeeded"
            )

    # -- what concerns several

    def _look_for_the_absent(self) -> None:
        known = {*self._traffic.accepted, *(new.id for drafts in self._traffic.doubtful for _, new in drafts)}
        for job in self._traffic.absent:
            if job in self.jobs:
                self._wrong("rolled back", self.jobs[job], "is there, and the transaction of its submit was rolled back")
        for record in self.jobs.values():
            if record.parent is None and record.id not in known and record.id not in self._traffic.absent:
                self._wrong("rolled back", record, "is there, and nobody submitted it")

    def _look_at_unique_keys(self) -> None:
        """No two jobs with one key lived at the same time, as far as their first epochs tell."""
        of_key: dict[str, list[JobRecord]] = defaultdict(list)
        for record in self.jobs.values():
            if record.unique_key and record.epoch == 1:
                of_key[record.unique_key].append(record)
        for records in of_key.values():
            records.sort(key=lambda record: record.created_at)
            for before, after in pairwise(records):
                if before.finished_at is None or (before.finished_at - after.created_at).total_seconds() > SUBMIT_SECONDS:
                    self._wrong("unique key", after, f"was submitted while {before.id} lived, with the same key")

    def _look_at_cancels(self) -> None:
        """After a cancel that was waited for, nothing of the job lives."""
        for claim, one in self._seen.items():
            confirmed = self._traffic.confirmed.get(claim.job)
            if confirmed is not None and one.last > confirmed:
                text = (
                    f"job {claim.job}: claim {claim.number} lived {one.last - confirmed:.3f} s after its cancel was confirmed"
                )
                self._diary.wrong("cancel", text)

    # -- findings

    def _wrong(self, check: str, record: JobRecord, text: str) -> None:
        self._diary.wrong(check, f"job {record.id} ({record.kind}) {text}")

    def _wrong_run(self, check: str, run: InvocationRecord, text: str) -> None:
        self._diary.wrong(check, f"job {run.claim.job}, claim {run.claim.number} ({run.ending}): {text}")


async def _all(store: Store) -> AsyncIterator[JobRecord]:
    before = None
    while page := await store.list(Filter(before=before, limit=PAGE_JOBS)):
        for job in page:
            yield job
        before = page[-1].id


def _first_gap(found: Sequence[int]) -> str:
    at = next(at for at, number in enumerate(found) if number != at)
    return f"after {found[max(0, at - 1)]} comes {found[at]}"
