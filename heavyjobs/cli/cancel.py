"""`heavyjobs cancel`"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.durations import duration
from heavyjobs.cli.printing import print_jobs
from heavyjobs.cli.render import answer, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.model import JobRecord


@common
@click.command()
@click.argument("jobs", metavar="ID...", nargs=-1, required=True)
@click.option("--grace", type=duration, help="Between the request to stop and the end by force; else what each job wants.")
@click.option("--wait/--no-wait", default=True, help="Wait until all processes are gone for certain.  [default: wait]")
@as_json
def command(jobs: Sequence[str], grace: float | None, *, wait: bool, json_: bool) -> None:
    """Cancel jobs and all that they spawned.

    Whether they wait or run. A job that ended before is left as it is.
    """
    records = with_client(lambda client: _cancel(client, jobs, grace=grace, wait=wait))
    if json_:
        answer(to_json([job_document(record) for record in records]))
    else:
        print_jobs(records)


async def _cancel(client: Client, tails: Sequence[str], *, grace: float | None, wait: bool) -> list[JobRecord]:
    jobs: list[UUID] = [await client.find(tail) for tail in tails]  # all, before any is cancelled
    await client.cancel(*jobs, grace=grace)
    if wait:
        for job in jobs:
            await client.handle(job).wait()
    return [await client.get(job) for job in jobs]
