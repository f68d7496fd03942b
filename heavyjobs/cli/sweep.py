"""`heavyjobs sweep`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import click

from heavyjobs import durable
from heavyjobs.cli.common import as_json, common, settings
from heavyjobs.cli.render import answer, columns, remark, safe, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.errors import PathRefused, UsageError
from heavyjobs.events import JobOver
from heavyjobs.leftovers import Left, is_over, left_below, sweep
from heavyjobs.locations import Locations
from heavyjobs.model import short_id
from heavyjobs.settings import Settings
from heavyjobs.units import show_bytes

ASKED_AT_ONCE: Final = 500


@common
@click.command()
@click.argument("places", metavar="[PLACE]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@as_json
def command(places: Sequence[str], *, dry_run: bool, json_: bool) -> None:
    """Remove what ended jobs have left beside their targets.

    A job whose worker was killed, and that was cancelled before its next try, leaves an unfinished output. The next job that
    makes one in the same folder removes it; this command does so in all folders below the places that are named (a folder, or
    a location like media: or media:films), or below all locations of the configuration. What belongs to a job that has not
    ended, or that this database does not know, stays.
    """
    found = [left for folder in _folders(settings(), places) for left in left_below(folder)]
    over = with_client(lambda client: _over(client, {left.owner.job for left in found}))
    sized = {left.path: _bytes(left.path) for left in found if is_over(left.owner, over)}
    swept = [left for left in found if left.path in sized] if dry_run else sweep(found, over)
    if json_:
        answer(to_json([_document(left, sized[left.path], removed=not dry_run) for left in swept]))
        return
    verb = "would remove" if dry_run else "removed"
    for line in columns([[verb, *_row(left, sized[left.path])] for left in swept]):
        answer(line)
    _tell(verb, swept=len(swept), failed=len(sized) - len(swept), kept=len(found) - len(sized), bytes_=_sum(sized, swept))


def _folders(in_force: Settings, places: Sequence[str]) -> Iterator[Path]:
    """The folders of this host that are meant, each once."""
    known = Locations({name: place.url for name, place in in_force.locations.items()}, plain=True)
    for text in dict.fromkeys(places or [f"{name}:" for name in known.places]):
        if known.elsewhere(text) is not None:
            if places:
                raise PathRefused(f"{text}: only folders of this host are swept; elsewhere a lifecycle rule removes uploads")
            continue
        path = known.path(text)
        if not path.is_dir() and places:
            raise UsageError(f"{text}: there is no such folder on this host")
        yield path


async def _over(client: Client, jobs: set[UUID]) -> dict[UUID, JobOver]:
    """Those of the jobs that have ended."""
    asked, over = sorted(jobs), dict[UUID, JobOver]()
    for start in range(0, len(asked), ASKED_AT_ONCE):
        briefs = await client.store.briefs(asked[start : start + ASKED_AT_ONCE])
        over |= {job.id: JobOver(job.id, job.claim, job.epoch) for job in briefs.values() if job.state.ended}
    return over


def _bytes(path: Path) -> int:
    try:
        return 0 if path.is_symlink() else durable.size_tree(path)
    except OSError:  # closed to us, or gone by now
        return 0


def _sum(sized: dict[Path, int], swept: Sequence[Left]) -> int:
    return sum(sized[left.path] for left in swept)


def _row(left: Left, size: int) -> list[str]:
    return [show_bytes(size), short_id(left.owner.job), safe(str(left.path))]


def _document(left: Left, size: int, *, removed: bool) -> dict[str, object]:
    return {"path": str(left.path), "job": str(left.owner.job), "bytes": size, "removed": removed}


def _tell(verb: str, *, swept: int, failed: int, kept: int, bytes_: int) -> None:
    remark(f"{verb} {swept:,}, {show_bytes(bytes_)}")
    if failed:
        remark(f"could not remove {failed:,}: somebody else has done so, or this user may not")
    if kept:
        remark(f"left {kept:,} of jobs that have not ended, or that this database does not know")
