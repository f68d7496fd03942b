"""From the updates of a job to its story, stored or live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from heavyjobs.cli.story import Teller
from heavyjobs.client import Client, Reported, StateChanged
from heavyjobs.errors import UsageError
from heavyjobs.model import InvocationRecord, JobRecord, JobState, LogLine, short_id

LOOK_AGAIN_SECONDS: Final = 0.5


async def tell_stored(client: Client, job: UUID, teller: Teller, *, attempt: int | None, epoch: int | None) -> None:
    """What is stored by now, of all attempts or of those chosen."""
    record = await client.get(job)
    handle = client.handle(job)
    for invocation in chosen(await client.invocations(job), record, attempt=attempt, epoch=epoch):
        teller.begins(invocation)
        async for line in handle.logs(claim=invocation.claim.number):
            teller.line(line)
        if invocation.ended_at:
            teller.ends(invocation, record)
        else:
            teller.idle()


async def tell_live(client: Client, job: UUID, teller: Teller) -> JobRecord:
    """Everything from the start on, as it comes, until the job has ended; its record then."""
    narrator = _Narrator(client, job, teller)
    async for update in client.handle(job).watch(idle=LOOK_AGAIN_SECONDS):
        match update:
            case LogLine():
                await narrator.at(update.claim)
                teller.line(update)
            case Reported(status):
                if await narrator.running():
                    teller.status(status)
            case StateChanged(JobState.RUNNING, claim=claim):
                await narrator.expect(claim)
            case StateChanged(state, claim=claim):
                await narrator.at(claim)
                await narrator.close()
                if not state.ended:
                    teller.waits(await client.get(job))
            case _:
                await narrator.expect()
                teller.idle()
    return await client.get(job)


async def tell_attempt_live(client: Client, job: UUID, teller: Teller, *, attempt: int, epoch: int | None) -> None:
    """One attempt, which may be still to come, until it has ended."""
    invocation = await _awaited(client, job, attempt=attempt, epoch=epoch)
    number = invocation.claim.number
    teller.begins(invocation)
    async for line in client.handle(job).logs(claim=number, follow=True):
        teller.line(line)
    (invocation,) = [one for one in await client.invocations(job) if one.claim.number == number]
    if invocation.ended_at:
        teller.ends(invocation, await client.get(job))


async def _awaited(client: Client, job: UUID, *, attempt: int, epoch: int | None) -> InvocationRecord:
    while True:
        record = await client.get(job)  # before the invocations: they are complete when it says that it has ended
        invocations = await client.invocations(job)
        if not may_come(record, attempt=attempt, epoch=epoch) or attempt in _attempts(invocations, epoch or record.epoch):
            return chosen(invocations, record, attempt=attempt, epoch=epoch)[0]
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def may_come(job: JobRecord, *, attempt: int, epoch: int | None) -> bool:
    """Whether that attempt may still begin."""
    return not job.state.ended and epoch in {None, job.epoch} and job.attempt < attempt <= job.policy.attempts


def chosen(
    invocations: Sequence[InvocationRecord], job: JobRecord, *, attempt: int | None, epoch: int | None
) -> list[InvocationRecord]:
    """All; or all of one epoch; or the newest that was that attempt, of the job's own epoch where none is named.

    Raises:
        UsageError: there is none; says which there are.
    """
    if attempt is None and epoch is None:
        return list(invocations)
    within = epoch or job.epoch
    found = [one for one in invocations if one.epoch == within and attempt in {None, one.attempt}]
    if not found:
        raise UsageError(f"job {short_id(job.id)}: {_not_there(invocations, job, attempt=attempt, epoch=within)}")
    return found if attempt is None else found[-1:]


def _not_there(invocations: Sequence[InvocationRecord], job: JobRecord, *, attempt: int | None, epoch: int) -> str:
    if job.epoch == 1 and epoch == 1:
        return f"no attempt {attempt}; attempts: {_numbers(_attempts(invocations, 1)) or 'none yet'}"
    what = f"no attempt of epoch {epoch}" if attempt is None else f"no attempt {attempt} in epoch {epoch}"
    epochs = sorted({one.epoch for one in invocations} | {job.epoch})
    there = "; ".join(f"epoch {each}: {_numbers(_attempts(invocations, each)) or 'none yet'}" for each in epochs)
    return f"{what}; attempts there are: {there}; --epoch chooses"


def _attempts(invocations: Sequence[InvocationRecord], epoch: int) -> list[int]:
    return sorted({one.attempt for one in invocations if one.epoch == epoch})


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


class _Narrator:
    """Tells where each invocation begins and ends, in order and once each."""

    def __init__(self, client: Client, job: UUID, teller: Teller) -> None:
        self._client: Final = client
        self._job: Final = job
        self._teller: Final = teller
        self._expected = 0
        self._newest = 0
        self._open = False

    async def expect(self, claim: int = 0) -> None:
        """An invocation runs, this one or the last expected: it begins when its slot is known, for its header names it."""
        self._expected = max(self._expected, claim)
        if self._expected > self._newest:
            invocations = await self._client.invocations(self._job)
            if any(invocation.claim.number == self._expected and invocation.slot for invocation in invocations):
                await self.at(self._expected)

    async def running(self) -> bool:
        """Whether an invocation runs, so that the latest status is its own and not that of one long over."""
        await self.at(self._expected)
        return self._expected > 0

    async def at(self, claim: int) -> None:
        """What follows is of that invocation; those before it that wrote nothing are told too."""
        if claim <= self._newest:
            return
        for invocation in await self._client.invocations(self._job):
            if self._newest < invocation.claim.number <= claim:
                await self._end_open()
                self._newest, self._open = invocation.claim.number, True
                self._teller.begins(invocation)

    async def close(self) -> None:
        """Nothing more follows of the invocation that was told last."""
        self._expected = 0
        await self._end_open()

    async def _end_open(self) -> None:
        if not self._open:
            return
        self._open = False
        for invocation in await self._client.invocations(self._job):
            if invocation.claim.number == self._newest and invocation.ended_at:
                self._teller.ends(invocation, await self._client.get(self._job))
