"""One soak of one store: the storm, the calm after it, and the judgement.

hosts up ──▶ storm: jobs and faults ──▶ faults stop: everything has to end ──▶ hosts killed in calm ──▶ drained ──▶ judged
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import traceback
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final

from heavyjobs import Client
from heavyjobs.store import open_store
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.postgres import PostgresServer
from soaking import witness
from soaking.calm import kill_in_calm, recoveries, warm_up
from soaking.cast import CLIENT, FORFEIT_SECONDS, STEADY
from soaking.databases import database
from soaking.diary import Diary
from soaking.export import export
from soaking.faults import Faults
from soaking.figures import Figures
from soaking.gauges import gauge, measured
from soaking.judging import Judge
from soaking.leftovers import compare, connections_closed, strike
from soaking.pace import Pace
from soaking.plan import Plan
from soaking.settling import all_ended, settle
from soaking.stage import Stage, set_up
from soaking.traffic import Traffic

RECOVERY_SLACK_SECONDS: Final = 30.0
"""Above `forfeit_after`; on an idle machine 2 s are plenty."""

TELL_SECONDS: Final = 10.0


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
                await _act(set_up(plan, folder, diary, made, Path(scratch)), figures, kills=kills)
    except Exception as error:  # noqa: BLE001 - a soak that breaks is red, and keeps what there is to see
        diary.wrong("soak", "".join(traceback.format_exception(error)))
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
        strike(stage, figures)
    await connections_closed(stage)
    async with open_store(stage.database.url) as reader:
        await judge(stage, reader, traffic, figures)
        if stage.diary.findings:
            await export(reader, stage.folder / "history.jsonl")
            if stage.database.server is not None:
                (stage.folder / "postgres.log").write_text(stage.database.server.log)


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
            figures.settled_seconds = await settle(stage, traffic, observer)
            watching.cancel()
        await kill_in_calm(stage.hosts, observer, client, traffic, stage.diary, kills=kills)
        await all_ended(observer)
        compare(stage, before, await gauge(stage.hosts[STEADY]), figures)
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
    """How it goes, for people; and for the diary how large the steady coordinator is by now."""
    plan = stage.plan
    while True:
        await asyncio.sleep(TELL_SECONDS)
        stage.diary.note("steady", **measured(stage.hosts[STEADY]))
        print(
            f"  {plan.store}, {pace.now:4.0f} of {plan.seconds:.0f} s:  "
            f"{len(traffic.accepted):,} of {len(plan.jobs):,} jobs, {traffic.outstanding} of them under way; "
            f"{faults.done.total():,} of {len(plan.faults):,} faults; {len(stage.diary.findings)} findings",
            flush=True,
        )


async def judge(stage: Stage, observer: Store, traffic: Traffic, figures: Figures) -> None:
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
