"""What happens after the parameters of a job were read: insert it, and stay with it where that was asked for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from heavyjobs.cli import exits
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.narrating import tell_live
from heavyjobs.cli.printing import print_ending, print_last_line
from heavyjobs.cli.render import answer, paint_state, remark, safe, to_json
from heavyjobs.cli.screen import screen_for
from heavyjobs.cli.session import with_client
from heavyjobs.cli.story import ForPeople
from heavyjobs.cli.unserved import nobody_works, remarking_when_unserved
from heavyjobs.client import Client
from heavyjobs.errors import HeavyjobsError, StoreUnavailable
from heavyjobs.job import AnyJob, JobConfig
from heavyjobs.model import JobRecord, short_id
from heavyjobs.values import decode


def submit(
    job: AnyJob,
    *,
    config: JobConfig | None,
    unique: str | None,
    delay: float | None,
    wait: bool,
    follow: bool,
    json_: bool,
) -> Exit:
    """Submit and, with `wait` or `follow`, wait for the end; the code to exit with."""
    parameters = decode(job.parameters())  # before a database is opened, and perhaps made

    async def work(client: Client) -> Exit:
        handle = await client.submit_kind(job.kind, parameters, config=config, unique=unique, delay=delay)
        record = await handle.job()
        if not handle.created:
            remark(f"not submitted again: unique key {safe(unique or '')} is taken by this job")
        if not (wait or follow):
            print_submitted(record, json_=json_)
            await _remark_when_nobody_works(client)
            return Exit.OK
        return await _stay(client, record, follow=follow, json_=json_)

    return with_client(work, create=True)


async def _remark_when_nobody_works(client: Client) -> None:
    with suppress(StoreUnavailable):  # the job is in the database: that was what was asked for
        if reason := nobody_works(await client.coordinators(), now=datetime.now(UTC)):
            remark(reason)


def print_submitted(job: JobRecord, *, json_: bool) -> None:
    answer(to_json(job_document(job)) if json_ else _submitted(job))


def _submitted(job: JobRecord) -> str:
    return f"{short_id(job.id)}  {safe(job.kind)}  {paint_state(job.state)}  queue {safe(job.policy.queue)}"


async def _stay(client: Client, job: JobRecord, *, follow: bool, json_: bool) -> Exit:
    """Stay with the job until it has ended; the code to exit with."""
    try:
        async with remarking_when_unserved(client, job.id):
            if json_:
                return await _ending(client, job, json_=True)
            if not follow:
                remark(_submitted(job))
                return await _ending(client, job, json_=False)
            return await _followed(client, job)
    except (asyncio.CancelledError, HeavyjobsError):
        remark(f"the job goes on; heavyjobs logs {short_id(job.id)} -f, or heavyjobs cancel {short_id(job.id)}")
        raise


async def _ending(client: Client, job: JobRecord, *, json_: bool) -> Exit:
    await client.handle(job.id).wait()
    return print_ending(await client.get(job.id), json_=json_)


async def _followed(client: Client, job: JobRecord) -> Exit:
    print_submitted(job, json_=False)
    with screen_for(follow=True, plain=False) as screen:
        ended = await tell_live(client, job.id, ForPeople(screen))
    print_last_line(ended)
    return exits.of_state(ended.state)
