"""`heavyjobs update`"""

from __future__ import annotations

from typing import Any, cast

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.durations import duration, size
from heavyjobs.cli.printing import print_job
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.client.changing import Wanted
from heavyjobs.model import JobRecord


@common
@click.command()
@click.argument("job", metavar="ID")
@click.option("--queue", metavar="NAME", help="Another queue.")
@click.option("--priority", type=int, help="Higher starts first.")
@click.option("--attempts", type=int, help="Tries in all, those made already included.")
@click.option("--timeout", type=duration, help="Of one try.")
@click.option("--memory", type=size, help="Of its whole process tree.")
@click.option("--cpus", type=float, help="Processors it will use.")
@click.option("--delay", type=duration, help="Start no sooner than this from now; 0s makes it due at once.")
@as_json
def command(job: str, *, json_: bool, **wanted: Any) -> None:
    """Change how a job that has not ended is to be run.

    What runs now keeps what it was started with.
    """
    given = cast("Wanted", {name: value for name, value in wanted.items() if value is not None})
    print_job(with_client(lambda client: _update(client, job, given)), json_=json_)


async def _update(client: Client, tail: str, wanted: Wanted) -> JobRecord:
    return await client.handle(await client.find(tail)).update(**wanted)
