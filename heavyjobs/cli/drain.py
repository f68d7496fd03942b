"""`heavyjobs drain`"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.coordinators import print_coordinators
from heavyjobs.cli.documents import coordinator_document
from heavyjobs.cli.render import answer, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.errors import UsageError
from heavyjobs.model import CoordinatorRecord

LOOK_EVERY_SECONDS: Final = 0.5


@common
@click.command()
@click.argument("name", metavar="HOST|ID", required=False)
@click.option("--all", "all_", is_flag=True, help="All coordinators.")
@click.option("--wait", is_flag=True, help="Return when they have ended.")
@as_json
def command(name: str | None, *, all_: bool, wait: bool, json_: bool) -> None:
    """Ask coordinators to finish their work and end.

    They take nothing new; for a deploy, say. What still runs after their `coordinator.drain` is handed back, and costs no
    attempt.
    """
    if (name is None) is not all_:
        raise UsageError("drain: name a host or a coordinator's id, or say --all")
    asked = with_client(lambda client: _drain(client, name, wait=wait))
    if json_:
        answer(to_json([coordinator_document(coordinator) for coordinator in asked]))
    elif asked:
        print_coordinators(asked)


async def _drain(client: Client, name: str | None, *, wait: bool) -> Sequence[CoordinatorRecord]:
    live = await client.coordinators()
    meant = [coordinator for coordinator in live if name is None or _is_called(coordinator, name)]
    if not meant and name is not None:
        names = ", ".join(sorted({coordinator.session.name for coordinator in live})) or "none"
        raise UsageError(f"{name}: no such coordinator is running; running: {names}")
    ids = {coordinator.session.id for coordinator in meant}
    for session in ids:
        await client.drain(str(session))
    while wait and await _any_lives(client, ids):  # noqa: ASYNC110 - the end of a session wakes nobody
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return [coordinator for coordinator in await client.coordinators(ended=True) if coordinator.session.id in ids]


def _is_called(coordinator: CoordinatorRecord, name: str) -> bool:
    session = coordinator.session
    tail = name.lower().replace("-", "")
    return name in {session.name, session.host} or (len(tail) >= 6 and session.id.hex.endswith(tail[-6:]))


async def _any_lives(client: Client, ids: Collection[UUID]) -> bool:
    return any(coordinator.session.id in ids for coordinator in await client.coordinators())
