"""`heavyjobs retry`"""

from __future__ import annotations

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.printing import print_job
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.model import JobRecord


@common
@click.command()
@click.argument("job", metavar="ID")
@click.option("--fresh", is_flag=True, help="Forget what it had checkpointed: start from nothing.")
@as_json
def command(job: str, *, fresh: bool, json_: bool) -> None:
    """Send a dead or cancelled job again.

    It has a new budget of attempts, and goes on from its last checkpoint.
    """
    print_job(with_client(lambda client: _retry(client, job, fresh=fresh)), json_=json_)


async def _retry(client: Client, tail: str, *, fresh: bool) -> JobRecord:
    return await client.handle(await client.find(tail)).retry(fresh=fresh)
