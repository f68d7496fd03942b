"""Kill hosts while nothing else happens, and see how long their jobs take to run elsewhere."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle, islice, pairwise
from typing import Final
from uuid import UUID

from heavyjobs import Client, Handle
from heavyjobs.model import ClaimKey, CoordinatorRecord, Ending, InvocationRecord
from heavyjobs.store.protocol import Store
from soaking.cast import FORFEIT_SECONDS, STEADY
from soaking.diary import Diary
from soaking.hosts import Death, Host, until
from soaking.jobs import Done, Quick, Refused, Soaked, Waits
from soaking.orders import How, Ordered
from soaking.traffic import Traffic
from soaking.witness import Seen

KILLED_IN_CALM: Final = "killed in calm"
JOB_SECONDS: Final = 2.5
WAIT_SECONDS: Final = 60.0

ALIVE_SECONDS: Final = 0.5
"""An invocation that was last seen so shortly before or after the kill ran until then; numbers of processes come again."""


async def warm_up(client: Client, traffic: Traffic) -> None:
    """Have every slot and every lane run something, so that what is measured next is not their beginning."""
    for _ in range(2):
        for handle in await _submit(client, traffic, seconds=0.5):
            await handle.wait(timeout=WAIT_SECONDS)


async def kill_in_calm(
    hosts: Mapping[str, Host], store: Store, client: Client, traffic: Traffic, diary: Diary, *, kills: int
) -> None:
    """Kill hosts in turn, but never the steady one, each time while it runs jobs."""
    mortal = [host for name, host in hosts.items() if name != STEADY]
    for host in islice(cycle(mortal), kills):
        await host.ready()
        jobs = await _submit(client, traffic, seconds=JOB_SECONDS)
        if not await _busy(host, store):
            diary.wrong("liveness", f"{host.name} took none of {len(jobs)} jobs within {WAIT_SECONDS:.0f} s")
            return
        # Long enough away for others to judge it by its silence: its successor would know at once.
        host.told, host.pause_seconds = KILLED_IN_CALM, FORFEIT_SECONDS + 1.0
        dying = host.process
        host.signal(signal.SIGKILL)
        for handle in jobs:
            if await handle.wait(timeout=WAIT_SECONDS) is None:
                diary.wrong(
                    "liveness", f"job {handle.id} has not ended {WAIT_SECONDS:.0f} s after {host.name} was killed in calm"
                )
        await until(lambda host=host, dying=dying: host.process is not dying and host.alive, within=WAIT_SECONDS)  # type: ignore[misc]


async def _submit(client: Client, traffic: Traffic, *, seconds: float) -> Sequence[Handle[int, Done, Refused]]:
    """Enough jobs for all slots and lanes; from now on they are the traffic's."""
    jobs: list[Soaked] = [
        *(Waits(number=number, lines=3, seconds=seconds) for number in range(9)),
        *(Quick(number=number, lines=3, seconds=seconds) for number in range(6)),
    ]
    handles = await client.submit_many(jobs)
    for handle, job in zip(handles, jobs, strict=True):
        traffic.accepted[handle.id] = Ordered(at=0, job=job, how=How.MANY)
    return handles


async def _busy(host: Host, store: Store) -> bool:
    """Wait until it runs something."""
    for _ in range(int(WAIT_SECONDS / 0.05)):
        live = await store.coordinators()
        if any(one.running for one in live if host.process and one.session.pid == host.process.pid):
            return True
        await asyncio.sleep(0.05)
    return False


def recoveries(
    deaths: Collection[Death],
    sessions: Collection[CoordinatorRecord],
    runs: Mapping[UUID, Sequence[InvocationRecord]],
    seen: Mapping[ClaimKey, Seen],
) -> tuple[list[float], list[float]]:
    """Seconds from the kill of a coordinator until each job that ran there began elsewhere: in calm, and in the storm."""
    of_process: dict[int, Death] = {death.pid: death for death in deaths if death.code == -signal.SIGKILL}
    died = {one.session.id: of_process[one.session.pid] for one in sessions if one.session.pid in of_process}
    found: dict[bool, list[float]] = defaultdict(list)
    for of_job in runs.values():
        for before, after in pairwise(of_job):
            death, old, new = died.get(before.session), seen.get(before.claim), seen.get(after.claim)
            if death and old and new and before.ending is Ending.FORFEITED and abs(old.last - death.at) < ALIVE_SECONDS:
                found[death.told == KILLED_IN_CALM].append(new.began - death.at)
    return found[True], found[False]
