"""Say why nobody will run a job that waits, so that no command is silent about what can go on for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from heavyjobs.cli.render import remark, safe
from heavyjobs.client import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import CoordinatorRecord, JobRecord, JobState, Session, short_id
from heavyjobs.units import show_seconds

LOOK_EVERY_SECONDS: Final = 2.0
"""Also before the first look: a coordinator that has just been started needs a moment."""

SILENT_SECONDS: Final = 60.0
"""A coordinator that was not heard of for this long is not counted on; when it is the only one, nobody declares it dead."""

_WAITING: Final = frozenset({JobState.SCHEDULED, JobState.READY})


def unserved(job: JobRecord, coordinators: Sequence[CoordinatorRecord], *, now: datetime) -> list[str]:
    """Why no coordinator will take a job that waits, as lines; none when one will, or when the job does not wait.

    Args:
        coordinators: those that have neither ended nor been declared dead.
    """
    if job.state not in _WAITING:
        return []
    if reason := nobody_works(coordinators, now=now):
        return [reason]
    working = [one.session for one in coordinators if not _absence(one, now)]
    serving = [session for session in working if job.policy.queue in session.queues]
    if not serving:
        return [_no_queue(job, working)]
    newest = max(session.kinds.get(job.kind, 0) for session in serving)
    if newest >= job.version:
        return []
    return [_no_kind(job, newest), *(safe(f"{one.name}: {problem}") for one in serving for problem in one.problems)]


def _no_queue(job: JobRecord, working: Sequence[Session]) -> str:
    served = ", ".join(sorted({safe(queue) for session in working for queue in session.queues})) or "none"
    return (
        f"no coordinator serves queue {safe(job.policy.queue)} (served: {served}); add it to a coordinator's configuration, "
        f"or heavyjobs update {short_id(job.id)} --queue NAME"
    )


def _no_kind(job: JobRecord, newest: int) -> str:
    nobody = f"no coordinator of queue {safe(job.policy.queue)} runs kind {safe(job.kind)}"
    if newest:
        return f"{nobody} in version {job.version} (only up to version {newest}); update its module and restart heavyjobs run"
    return f"{nobody}; list its module under modules in heavyjobs.toml and restart heavyjobs run"


def nobody_works(coordinators: Sequence[CoordinatorRecord], *, now: datetime) -> str:
    """That no coordinator takes jobs, whichever they are; empty when one does."""
    absences = [_absence(one, now) for one in coordinators]
    if not all(absences):
        return ""
    beside = f" ({', '.join(absences)})" if absences else ""
    return f"no coordinator is running{beside}; heavyjobs run starts one"


def _absence(coordinator: CoordinatorRecord, now: datetime) -> str:
    """Why a coordinator cannot be counted on; empty when it can."""
    name = safe(coordinator.session.name)
    if coordinator.drain_requested_at:
        return f"{name} drains, and takes nothing new"
    silence = (now - coordinator.ticked_at).total_seconds()
    return f"{name} was last heard of {show_seconds(silence)} ago" if silence > SILENT_SECONDS else ""


async def unserved_now(client: Client, job: JobRecord) -> list[str]:
    """The same, by what the database says now."""
    if job.state not in _WAITING:
        return []
    return unserved(job, await client.coordinators(), now=datetime.now(UTC))


@asynccontextmanager
async def remarking_when_unserved(client: Client, job: UUID) -> AsyncGenerator[None]:
    """While the block waits for a job, say once that nobody will run it, as soon as that is so."""
    looking = asyncio.create_task(_remark_when_unserved(client, job), name="looking whether anybody serves the job")
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _remark_when_unserved(client: Client, job: UUID) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        with suppress(StoreUnavailable):  # whoever waits goes on waiting, and so does this
            record = await client.get(job)
            if reasons := await unserved_now(client, record):
                for line in _told(record, reasons):
                    remark(line)
                return


def _told(job: JobRecord, reasons: Sequence[str]) -> Iterator[str]:
    first, *others = reasons
    yield f"job {short_id(job.id)} is still {job.state}: {first}"
    yield from others
