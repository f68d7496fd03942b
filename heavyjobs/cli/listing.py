"""`heavyjobs list`"""

from __future__ import annotations

from collections.abc import Sequence

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.phrases import ago
from heavyjobs.cli.render import answer, columns, paint_state, remark, safe, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.model import JobRecord, JobState, short_id


@common
@click.command()
@click.option(
    "--state", "states", multiple=True, type=click.Choice([state.value for state in JobState]), help="(repeat for more)"
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="(repeat for more)")
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="(repeat for more)")
@click.option("--parent", metavar="ID", help="Only what that job spawned.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@as_json
def command(
    states: Sequence[str], kinds: Sequence[str], queues: Sequence[str], parent: str | None, limit: int, *, json_: bool
) -> None:
    """List jobs, newest first.

    With --json one object per line.
    """
    wanted = [JobState(state) for state in states]

    async def read(client: Client) -> Sequence[JobRecord]:
        family = None if parent is None else await client.find(parent)
        return await client.list(states=wanted, kinds=kinds, queues=queues, parent=family, limit=limit)

    found = with_client(read)
    if json_:
        for job in found:
            answer(to_json(job_document(job), lines=True))
    elif found:
        for line in columns([_row(job) for job in found], header=("id", "kind", "state", "queue", "attempt", "submitted")):
            answer(line)
    else:
        remark("no jobs")


def _row(job: JobRecord) -> list[str]:
    attempt = f"{job.attempt} of {job.policy.attempts}"
    return [short_id(job.id), safe(job.kind), paint_state(job.state), safe(job.policy.queue), attempt, ago(job.created_at)]
