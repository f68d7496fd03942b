"""What a soak plays on: hosts that are not started yet, a database, folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from soaking import witness
from soaking.cast import HOSTS
from soaking.databases import Database
from soaking.diary import Diary
from soaking.hosts import Host
from soaking.plan import Plan


@dataclass(frozen=True, slots=True)
class Stage:
    """Of one store.

    Attributes:
        folder: for what is kept of it; scratch: what its processes take for the folder of temporary files.
        soak: carried by all its processes in their environment.
    """

    plan: Plan
    folder: Path
    diary: Diary
    database: Database
    hosts: dict[str, Host]
    scratch: Path
    soak: str


def set_up(plan: Plan, folder: Path, diary: Diary, made: Database, scratch: Path) -> Stage:
    soak = uuid4().hex
    for each in (folder / "outputs", witness.lanes()):
        each.mkdir()
    hosts = {name: Host(name, folder, url=made.url_for(name), soak=soak, scratch=scratch, diary=diary) for name in HOSTS}
    return Stage(plan, folder, diary, made, hosts, scratch, soak)
