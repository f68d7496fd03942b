"""One soak of one store: the storm, the calm after it, and the judgement.

hosts up ──▶ storm: jobs and faults ──▶ faults stop: everything has to end ──▶ hosts killed in calm ──▶ drained ──▶ judged
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import uuid4

from heavyjobs import Client, StoreUnavailable
from heavyjobs.model import JobState
from heavyjobs.store import open_store
from heavyjobs.store.protocol import Filter, Store, StoreOptions
from heavyjobs.testing.postgres import PostgresServer
from soaking import witness
from soaking.calm import kill_in_calm, recoveries, warm_up
from soaking.databases import Database, database
from soaking.diary import Diary
from soaking.export import export
from soaking.faults import Faults
from soaking.figures import Figures
from soaking.gauges import GROWTH_MAX_BYTES, GROWTH_MAX_DESCRIPTORS, Gauge, gauge
from soaking.hosts import SOAK, Host, carrying, until
from soaking.judging import Judge
from soaking.pace import Pace
from soaking.plan import CLIENT, FORFEIT_SECONDS, HOSTS, STEADY, Plan
from soaking.traffic import Traffic

SETTLE_SECONDS: Final = 180.0
"""Bound of liveness: once faults have stopped, all that was accepted ends within that. It takes seconds on an idle machine."""

RECOVERY_SLACK_SECONDS: Final = 30.0
"""Above `forfeit_after`; on an idle machine 2 s are plenty."""

CONNECTIONS_SECONDS: Final = 20.0
TELL_SECONDS: Final = 10.0
UNENDED: Final = (JobState.SCHEDULED, JobState.READY, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the storm plays on."""

    plan: Plan
    folder: Path
    diary: Diary
    database: Database
    hosts: dict[str, Host]
    scratch: Path
    soak: str


async def soak(plan: Plan, folder: Path, server: PostgresServer | None, *, kills: int) -> Figures:
    """Run the plan and judge it; findings are in the figures, and told in the diary in `folder`.

    Args:
        kills: of hosts in the calm after the storm, to see how long their jobs take to go on elsewhere.
    """
    began = time.monotonic()
    diary = Diary(folder / "diary.jsonl")
    figures = Figures(store=plan.store, seed=plan.seed)
    try:
        # Short, for the path of a socket in it has room for about a hundred characters.
        with tempfile.TemporaryDirectory(prefix="heavyjobs-soak-", dir="/tmp") as scratch:
            async with database(folder, server) as made:
                await _act(_set(plan, folder, diary, made, Path(scratch)), figures, kills=kills)
    finally:
        figures.findings = dict(diary.counted())
        figures.seconds = time.monotonic() - began
        diary.close()
    for check, text in diary.findings[:20]:
        print(f"  {check}: {text}")
    return figures


async def _act(stage: Stage, figures: Figures, *, kills: int) -> None:
    """All acts of it."""
    try:
        async with open_store(stage.database.url, StoreOptions(timeout_seconds=5)) as observer:
            traffic = await _play(stage, observer, figures, kills=kills)
    finally:
        _strike(stage, figures)
    await _connections_closed(stage)
    async with open_store(stage.database.url) as reader:
        await _judge(stage, reader, traffic, figures)
        if stage.diary.findings:
            await export(reader, stage.folder / "history.jsonl")
            if stage.database.server is not None:
                (stage.folder / "postgres.log").write_text(stage.database.server.log)


def _set(plan: Plan, folder: Path, diary: Diary, made: Database, scratch: Path) -> Stage:
    soak = uuid4().hex
    for each in (folder / "outputs", witness.lanes()):
        each.mkdir()
    hosts = {name: Host(name, folder, url=made.url_for(name), soak=soak, scratch=scratch, diary=diary) for name in HOSTS}
    return Stage(plan, folder, diary, made, hosts, scratch, soak)


# -- playing


async def _play(stage: Stage, observer: Store, figures: Figures, *, kills: int) -> Traffic:
    """The storm and the calm after it; the hosts are up until the end."""
    options = StoreOptions(timeout_seconds=2)
    async with asyncio.TaskGroup() as keeping, Client.open(stage.database.url_for(CLIENT), options=options) as client:
        keepers = [keeping.create_task(host.keep(), name=f"keeping {host.name}") for host in stage.hosts.values()]
        traffic = Traffic(stage.plan, client, observer, stage.database, stage.diary)
        for host in stage.hosts.values():
            if not await host.ready():
                raise RuntimeError(f"{host.name} has not begun: {host.said()[-2000:]}")
        await warm_up(client, traffic)
        before = await gauge(stage.hosts[STEADY])
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(traffic.watch(tasks), name="watching")
            await _storm(stage, traffic, figures)
            await _settle(stage, traffic, observer, figures)
            watching.cancel()
        await kill_in_calm(stage.hosts, observer, client, traffic, stage.diary, kills=kills)
        await _all_ended(observer, within=SETTLE_SECONDS)
        _compare(stage, before, await gauge(stage.hosts[STEADY]), figures)
        await asyncio.gather(*(host.close() for host in stage.hosts.values()))
        for keeper in keepers:
            await keeper
    return traffic


async def _storm(stage: Stage, traffic: Traffic, figures: Figures) -> None:
    faults = Faults(stage.plan, stage.hosts, stage.database, stage.diary)
    began, pace = witness.now(), Pace()
    async with asyncio.TaskGroup() as storm:
        telling = storm.create_task(_tell(stage, traffic, faults, pace))
        work = [storm.create_task(traffic.run(pace)), storm.create_task(faults.run(pace))]
        await asyncio.wait(work)
        telling.cancel()
    figures.faults = dict(faults.done)
    figures.faults_missed = faults.missed.total()
    stage.diary.note("calm", seconds=witness.now() - began)


async def _tell(stage: Stage, traffic: Traffic, faults: Faults, pace: Pace) -> None:
    """How it goes, for people."""
    plan = stage.plan
    while True:
        await asyncio.sleep(TELL_SECONDS)
        print(
            f"  {plan.store}, {pace.now:4.0f} of {plan.seconds:.0f} s:  "
            f"{len(traffic.accepted):,} of {len(plan.jobs):,} jobs, {traffic.outstanding} of them under way; "
            f"{faults.done.total():,} of {len(plan.faults):,} faults; {len(stage.diary.findings)} findings",
            flush=True,
        )


async def _settle(stage: Stage, traffic: Traffic, observer: Store, figures: Figures) -> None:
    """With the faults over, wait until everything has ended."""
    began = witness.now()
    for proxy in (stage.database.proxies or {}).values():
        await proxy.heal()
    for host in stage.hosts.values():
        await host.ready()
    await _repeated_resolve(traffic)
    await until(lambda: not traffic.outstanding, within=SETTLE_SECONDS)
    left = await _all_ended(observer, within=max(5.0, began + SETTLE_SECONDS - witness.now()))
    figures.settled_seconds = witness.now() - began
    if left:
        stage.diary.wrong("liveness", f"{SETTLE_SECONDS:.0f} s after the last fault have not ended: {', '.join(left)}")
    traffic.forget()


async def _repeated_resolve(traffic: Traffic) -> None:
    while True:
        try:
            await traffic.resolve()
        except StoreUnavailable:
            continue
        return


async def _all_ended(observer: Store, *, within: float) -> list[str]:
    """Wait until no job is under way; those that are all the same."""
    deadline = witness.now() + within
    while True:
        try:
            left = await observer.list(Filter(states=UNENDED))
        except StoreUnavailable:
            left = []
        else:
            if not left or witness.now() > deadline:
                return [f"{job.id} ({job.kind}, {job.state})" for job in left]
        await asyncio.sleep(0.1)


def _compare(stage: Stage, before: Gauge, after: Gauge, figures: Figures) -> None:
    figures.resident_bytes = after.resident_bytes
    figures.growth_bytes = after.resident_bytes - before.resident_bytes
    figures.growth_descriptors = after.descriptors - before.descriptors
    more = {kind: count for kind in after.kinds if (count := after.kinds[kind] - before.kinds[kind])}
    stage.diary.note("gauges", before=before, after=after, more=more)
    if after.pid != before.pid:
        stage.diary.wrong("exits", f"the coordinator of {STEADY} is another process than before, and nobody has ended it")
    elif figures.growth_bytes > GROWTH_MAX_BYTES:
        stage.diary.wrong("memory", f"the coordinator of {STEADY} has grown by {figures.growth_bytes >> 20} MiB")
    elif figures.growth_descriptors > GROWTH_MAX_DESCRIPTORS:
        stage.diary.wrong("descriptors", f"the coordinator of {STEADY} has {figures.growth_descriptors} more: {more}")


# -- what is left


def _strike(stage: Stage, figures: Figures) -> None:
    """Nothing of the hosts may be left; if there is, it is ended here."""
    for host in stage.hosts.values():
        host.kill_all()
        figures.deaths += len(host.deaths)
        figures.outlived_seconds = max([figures.outlived_seconds, *(death.outlived or 0.0 for death in host.deaths)])
        for stray in host.strays:
            stage.diary.wrong("orphan", stray)
    left = carrying(SOAK, stage.soak)
    for process in left:
        stage.diary.wrong("orphan", f"after draining: {' '.join(process.cmdline())[:120]} ({process.pid})")
        process.kill()
    for path in stage.scratch.iterdir():
        stage.diary.wrong("scratch", f"{path.name} was left behind")


async def _connections_closed(stage: Stage) -> None:
    deadline = witness.now() + CONNECTIONS_SECONDS
    while left := await asyncio.to_thread(stage.database.connections):
        if witness.now() > deadline:
            stage.diary.wrong("connections", f"are open still: {', '.join(left)}")
            return
        await asyncio.sleep(0.2)


async def _judge(stage: Stage, observer: Store, traffic: Traffic, figures: Figures) -> None:
    seen = witness.read(Path(witness.path()))
    judge = Judge(observer, traffic, seen, stage.diary)
    report = await judge.judge()
    if fault := stage.database.whole():
        stage.diary.wrong("database", fault)
    figures.jobs, figures.invocations, figures.lines = report.jobs, report.invocations, report.lines
    figures.accepted = len(traffic.accepted)
    figures.application = dict(traffic.counts)
    figures.endings = dict(Counter(run.ending or "open" for runs in judge.runs.values() for run in runs))
    deaths = [death for host in stage.hosts.values() for death in host.deaths]
    calm, storm = recoveries(deaths, await observer.coordinators(ended=True), judge.runs, seen)
    figures.recovery_seconds, figures.storm_recovery_seconds = calm, storm
    if (longest := max(calm, default=0.0)) > FORFEIT_SECONDS + RECOVERY_SLACK_SECONDS:
        stage.diary.wrong("recovery", f"the job of a host that was killed in calm ran elsewhere only after {longest:.1f} s")
    begins = sorted(one.began for one in seen.values())
    figures.outage_seconds = max((after - before for before, after in pairwise(begins)), default=0.0)
    figures.orphans = stage.diary.counted()["orphan"]
