"""`heavyjobs coordinators`"""

from __future__ import annotations

from collections.abc import Sequence

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.documents import coordinator_document
from heavyjobs.cli.phrases import ago
from heavyjobs.cli.render import Colour, answer, columns, paint, remark, safe, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.model import CoordinatorRecord, short_id

HEADER = ("id", "name", "state", "queues", "running", "started", "last tick", "release")


@common
@click.command()
@click.option("--all", "ended", is_flag=True, help="Those that have ended too.")
@as_json
def command(*, ended: bool, json_: bool) -> None:
    """List the coordinators that serve the database."""
    found = with_client(lambda client: client.coordinators(ended=ended))
    if json_:
        answer(to_json([coordinator_document(coordinator) for coordinator in found]))
    elif found:
        print_coordinators(found)
    else:
        remark("no coordinator is running; heavyjobs run starts one")


def print_coordinators(found: Sequence[CoordinatorRecord]) -> None:
    for line in columns([_row(coordinator) for coordinator in found], header=HEADER):
        answer(line)
    for coordinator in found:
        for problem in coordinator.session.problems:
            remark(f"{safe(coordinator.session.name)}: {safe(problem)}")


def _row(coordinator: CoordinatorRecord) -> list[str]:
    session = coordinator.session
    name = session.name if session.name == session.host else f"{session.name} on {session.host}"
    queues = ", ".join(f"{queue} {slots}" for queue, slots in session.queues.items())
    return [
        short_id(session.id),
        safe(name),
        paint(*_state(coordinator)),
        safe(queues),
        str(coordinator.running),
        ago(coordinator.started_at),
        ago(coordinator.ticked_at),
        safe(session.release),
    ]


def _state(coordinator: CoordinatorRecord) -> tuple[str, Colour | None]:
    if coordinator.fenced_at:
        return "declared dead", "red"
    if coordinator.ended_at:
        return "ended", None
    return ("draining", "yellow") if coordinator.drain_requested_at else ("running", "green")
