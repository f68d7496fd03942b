"""`heavyjobs check-config`"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from heavyjobs.cli.common import as_json, common, import_job_types, remark_all, settings, the_common
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.render import answer, remark, safe, to_json
from heavyjobs.errors import PathRefused
from heavyjobs.job import kinds
from heavyjobs.locations import Locations
from heavyjobs.settings import Settings, without_secrets
from heavyjobs.store import open_store, options_of


@common
@click.command()
@click.option("--connect", is_flag=True, help="Connect to the database too, and check its schema.")
@as_json
@click.pass_context
def command(context: click.Context, *, connect: bool, json_: bool) -> Exit:
    """Print the settings in force, and what is wrong.

    As TOML, secrets masked. Imports the modules and lists the kinds of jobs that they define. Exits with 2 when anything is
    wrong.
    """
    in_force = settings()
    effective = masked(in_force.model_dump(mode="json"))
    places = looked_at(in_force)
    problems = [*import_job_types(in_force), *places.unusable]
    versions = {kind: job.version for kind, job in sorted(kinds().items())}
    if json_:
        answer(to_json({"settings": effective, "kinds": versions, "problems": problems}))
    else:
        answer(f"# {the_common(context).file() or 'no file: the defaults'}")
        for line in [*toml(effective), "", f"# kinds: {', '.join(versions) or 'none'}"]:
            answer(line)
    remark_all(problems)
    for absence in places.absent:
        remark(absence)
    if connect:
        asyncio.run(_connect(in_force))
    return Exit.USAGE if problems else Exit.OK


class Places(NamedTuple):
    """What is to be said of the locations: those that no job can use, and those whose folder is not on this host."""

    unusable: Sequence[str]
    absent: Sequence[str]


def looked_at(settings: Settings) -> Places:
    """Look for the folders of the locations."""
    places = Locations({name: place.url for name, place in settings.locations.items()}, plain=False)
    unusable: list[str] = []
    absent: list[str] = []
    for name in settings.locations:
        try:
            if (far := places.elsewhere(f"{name}:")) is not None:
                from heavyjobs.storage import address_fault

                unusable += [f"locations.{name}: {fault}"] if (fault := address_fault(far.url)) else []
                continue
            folder = places.path(f"{name}:")
        except PathRefused as error:
            unusable.append(f"locations.{name}: {error}")
        else:
            if not folder.is_dir():
                absent.append(f"locations.{name}: there is no folder {folder} on this host; make it, or name another one")
    return Places(unusable, absent)


async def _connect(settings: Settings) -> None:
    if (path := to_be_made(settings.database.url)) is not None:
        remark(f"{settings.database.url}: there is no {path} yet; heavyjobs run or submit makes it, with its tables")
        return
    async with open_store(settings.database.url, options_of(settings.database)) as store:
        await store.check_schema()
        remark(f"{store.url}: connected, the schema fits")


def to_be_made(url: str) -> Path | None:
    """The SQLite file that the first `run` or `submit` will make in a folder that is there; None when there is none to make."""
    if not url.startswith("sqlite:"):
        return None
    from heavyjobs.store.sqlite.addresses import database_path

    path = database_path(url)
    is_there = path.exists() and path.stat().st_size > 0
    return path if path.parent.is_dir() and not is_there else None


def masked(value: Any) -> Any:
    """The same without what may be a secret."""
    match value:
        case str():
            return without_secrets(value)
        case dict():
            return {key: masked(item) for key, item in cast("dict[str, Any]", value).items()}
        case [*items]:
            return [masked(item) for item in items]
        case _:
            return value


def toml(table: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[str]:
    """A table as lines of TOML, plain keys before tables; what is None is left out."""
    tables: dict[str, dict[str, Any]] = {key: value for key, value in table.items() if isinstance(value, dict)}
    for key, value in table.items():
        if key not in tables and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, inner in tables.items():
        name = [*path, _key(key)]
        if any(not isinstance(value, dict) for value in inner.values()):
            yield from ("", f"[{'.'.join(name)}]")
        yield from toml(inner, name)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("-", "").replace("_", "").isalnum() else _value(key)


def _value(value: Any) -> str:
    import json

    return json.dumps(value) if not isinstance(value, str) else json.dumps(safe(value), ensure_ascii=False)
