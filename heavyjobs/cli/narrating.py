"""From the updates of a job to its story, stored or live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from heavyjobs.cli.story import Teller
from heavyjobs.client import Client, Reported, StateChanged
from heavyjobs.errors import UsageError
from heavyjobs.model import InvocationRecord, JobRecord, JobState, LogLine, short_id


async def tell_stored(client: Client, job: UUID, teller: Teller, *, attempt: int | None) -> None:
    """What is stored by now, of all attempts or of one."""
    record = await client.get(job)
    handle = client.handle(job)
    for invocation in chosen(await client.invocations(job), job, attempt=attempt):
        teller.begins(invocation)
        async for line in handle.logs(claim=invocation.claim.number):
            teller.line(line)
        if invocation.ended_at:
            teller.ends(invocation, record)


async def tell_live(client: Client, job: UUID, teller: Teller) -> JobRecord:
    """Everything from the start on, as it comes, until the job has ended; its record then."""
    narrator = _Narrator(client, job, teller)
    async for update in client.handle(job).watch():
        match update:
            case LogLine():
                await narrator.at(update.claim)
                teller.line(update)
            case Reported(status):
                teller.status(status)
            case StateChanged(state=state, claim=claim):
                await narrator.at(claim)
                if state is not JobState.RUNNING:
                    await narrator.close()
            case _:
                pass
    return await client.get(job)


async def tell_attempt_live(client: Client, job: UUID, teller: Teller, *, attempt: int) -> None:
    """One attempt that has begun, until it has ended."""
    (invocation,) = chosen(await client.invocations(job), job, attempt=attempt)
    number = invocation.claim.number
    teller.begins(invocation)
    async for line in client.handle(job).logs(claim=number, follow=True):
        teller.line(line)
    (invocation,) = chosen(await client.invocations(job), job, attempt=attempt)
    if invocation.ended_at:
        teller.ends(invocation, await client.get(job))


def chosen(invocations: Sequence[InvocationRecord], job: UUID, *, attempt: int | None) -> list[InvocationRecord]:
    """All, or the newest that was that attempt.

    Raises:
        UsageError: there was no such attempt; says which there were.
    """
    if attempt is None:
        return list(invocations)
    found = [invocation for invocation in invocations if invocation.attempt == attempt]
    if not found:
        there = ", ".join(str(number) for number in sorted({invocation.attempt for invocation in invocations})) or "none yet"
        raise UsageError(f"job {short_id(job)}: no attempt {attempt}; attempts: {there}")
    return found[-1:]


class _Narrator:
    """Tells where each invocation begins and ends, in order and once each."""

    def __init__(self, client: Client, job: UUID, teller: Teller) -> None:
        self._client: Final = client
        self._job: Final = job
        self._teller: Final = teller
        self._newest = 0
        self._open = False

    async def at(self, claim: int) -> None:
        """What follows is of that invocation; those before it that wrote nothing are told too."""
        if claim <= self._newest:
            return
        await self.close()
        for invocation in await self._client.invocations(self._job):
            if self._newest < invocation.claim.number <= claim:
                self._newest, self._open = invocation.claim.number, True
                self._teller.begins(invocation)
                if self._newest < claim:
                    await self.close()

    async def close(self) -> None:
        """Nothing more follows of the invocation that was told last."""
        if not self._open:
            return
        self._open = False
        for invocation in await self._client.invocations(self._job):
            if invocation.claim.number == self._newest and invocation.ended_at:
                self._teller.ends(invocation, await self._client.get(self._job))
