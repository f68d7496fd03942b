"""`heavyjobs wait`"""

from __future__ import annotations

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.durations import duration
from heavyjobs.cli.printing import print_ending
from heavyjobs.cli.session import with_client
from heavyjobs.cli.unserved import remarking_when_unserved
from heavyjobs.client import Client
from heavyjobs.model import JobRecord


@common
@click.command()
@click.argument("job", metavar="ID")
@click.option("--timeout", type=duration, help="Wait no longer than this; the job goes on.")
@as_json
def command(job: str, timeout: float | None, *, json_: bool) -> int:
    """Wait until a job has ended, and say how.

    The exit code tells too.
    """
    return print_ending(with_client(lambda client: _wait(client, job, timeout)), json_=json_)


async def _wait(client: Client, tail: str, timeout: float | None) -> JobRecord:
    handle = client.handle(await client.find(tail))
    async with remarking_when_unserved(client, handle.id):
        await handle.wait(timeout)
    return await handle.job()
