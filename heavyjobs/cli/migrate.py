"""`heavyjobs migrate`"""

from __future__ import annotations

import asyncio

import click

from heavyjobs.cli.common import as_json, common, settings
from heavyjobs.cli.render import answer, to_json
from heavyjobs.settings import Settings
from heavyjobs.store import open_store, options_of


@common
@click.command()
@as_json
def command(*, json_: bool) -> None:
    """Bring the database's schema to this release.

    Harmless when it is there already.
    """
    url, before, after = asyncio.run(_migrate(settings()))
    if json_:
        answer(to_json({"database": url, "before": before, "after": after}))
    elif before == after:
        answer(f"{url}: schema {after}, nothing to do")
    else:
        answer(f"{url}: schema {before or 'none'} → {after}")


async def _migrate(settings: Settings) -> tuple[str, int, int]:
    async with open_store(settings.database.url, options_of(settings.database)) as store:
        return (store.url, *await store.migrate())
