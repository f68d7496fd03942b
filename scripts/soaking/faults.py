"""Do to the hosts, connections and the database what the plan says, when it says so; each fault is written down as it is done.

Faults of one kind of target come one after the other (a host's coordinator is not killed while it is stopped), those of
different ones as they come.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import psycopg

from soaking import on_connections, on_hosts, on_postgres, on_sqlite
from soaking.cast import DATABASE
from soaking.databases import Database
from soaking.diary import Diary
from soaking.hosts import Host
from soaking.pace import Pace
from soaking.plan import Fault, Plan
from soaking.sorts import ON_HOSTS

Doing: TypeAlias = Callable[[], Awaitable[bool]]


class Faults:
    """The plan's faults on their way."""

    def __init__(self, plan: Plan, hosts: Mapping[str, Host], database: Database, diary: Diary) -> None:
        self.done: Final[Counter[str]] = Counter()
        self.missed: Final[Counter[str]] = Counter()
        """Those that found nobody: no lane that ran just then, no child program."""
        self._plan: Final = plan
        self._hosts: Final = hosts
        self._database: Final = database
        self._diary: Final = diary

    async def run(self, pace: Pace) -> None:
        """Do all of them."""
        async with asyncio.TaskGroup() as tasks:
            for name, faults in _tracks(self._plan.faults).items():
                tasks.create_task(self._follow(faults, pace), name=f"faults of {name}")

    async def _follow(self, faults: Sequence[Fault], pace: Pace) -> None:
        for fault in faults:
            await pace.until(fault.at)
            await self._do(fault)

    async def _do(self, fault: Fault) -> None:
        facts = {"number": fault.number, "kind": fault.kind, "target": fault.target, "seconds": fault.seconds}
        self._diary.note("fault", **facts)
        try:
            done = await self._doing(fault)()
        except (psycopg.Error, OSError) as error:
            self._diary.note("fault failed", number=fault.number, error=repr(error))
            done = False
        if done:
            self.done[fault.kind] += 1
        else:
            self.missed[fault.kind] += 1
            self._diary.note("fault missed", number=fault.number)

    def _doing(self, fault: Fault) -> Doing:
        if fault.kind in ON_HOSTS:
            return lambda: on_hosts.inflict(fault, self._hosts[fault.target], self._diary)
        if self._database.server is None:
            return lambda: on_sqlite.inflict(fault, self._database)
        if fault.target == DATABASE:
            return lambda: on_postgres.inflict(fault, self._database)
        return lambda: on_connections.inflict(fault, self._database)


def _tracks(faults: Sequence[Fault]) -> Mapping[str, Sequence[Fault]]:
    """What may not happen at the same time, in order."""
    tracks: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        tracks[f"{fault.target} {_place(fault.kind)}"].append(fault)
    return tracks


def _place(kind: str) -> str:
    if kind in on_hosts.OF_COORDINATORS:
        return "coordinator"
    return "processes" if kind in ON_HOSTS else "connections"
