"""`heavyjobs logs`"""

from __future__ import annotations

from uuid import UUID

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.narrating import tell_attempt_live, tell_live, tell_stored
from heavyjobs.cli.phrases import standing
from heavyjobs.cli.render import remark
from heavyjobs.cli.screen import screen_for
from heavyjobs.cli.session import with_client
from heavyjobs.cli.story import AsJson, ForPeople, Raw, Teller
from heavyjobs.cli.unserved import remarking_when_unserved, unserved_now
from heavyjobs.client import Client
from heavyjobs.errors import UsageError


@common
@click.command()
@click.argument("job", metavar="ID")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on until the job has ended, through its retries. On a terminal its status is a live bar; piped, a line every 5 s "
    "at most, and the last one.",
)
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Only that attempt; with -f it may be still to come.")
@click.option(
    "--epoch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only that epoch: each retry begins one. --attempt alone means the newest.",
)
@click.option("--raw", is_flag=True, help="Only the text: no times, no headers.")
@as_json
def command(job: str, attempt: int | None, epoch: int | None, *, follow: bool, raw: bool, json_: bool) -> None:
    """Show what a job wrote, live or later.

    Its logging, print, and the output of the programs it ran; from any host. With --json one object per line.
    """
    if follow and epoch is not None and attempt is None:
        raise UsageError("logs: with -f, --epoch needs --attempt")
    with screen_for(follow=follow, plain=raw or json_) as screen:
        teller = AsJson(screen) if json_ else Raw(screen) if raw else ForPeople(screen)
        with_client(lambda client: _tell(client, job, teller, follow=follow, attempt=attempt, epoch=epoch))


async def _tell(client: Client, tail: str, teller: Teller, *, follow: bool, attempt: int | None, epoch: int | None) -> None:
    job = await client.find(tail)
    if not follow:
        await tell_stored(client, job, teller, attempt=attempt, epoch=epoch)
        await _remark_when_unclaimed(client, job)
        return
    async with remarking_when_unserved(client, job):
        if attempt is None:
            await tell_live(client, job, teller)
        else:
            await tell_attempt_live(client, job, teller, attempt=attempt, epoch=epoch)


async def _remark_when_unclaimed(client: Client, job: UUID) -> None:
    record = await client.get(job)
    if record.claim == 0:
        for line in (f"no attempt so far: {standing(record)}", *await unserved_now(client, record)):
            remark(line)
