"""Liveness: once faults have stopped, everything has to end."""

from __future__ import annotations

import asyncio
from typing import Final

from heavyjobs import StoreUnavailable
from heavyjobs.model import JobState
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter
from soaking import witness
from soaking.hosts import until
from soaking.stage import Stage
from soaking.traffic import Traffic

SETTLE_SECONDS: Final = 180.0
"""The bound: once faults have stopped, all that was accepted ends within that. It takes seconds on an idle machine."""

UNENDED: Final = (JobState.SCHEDULED, JobState.READY, JobState.RUNNING)


async def settle(stage: Stage, traffic: Traffic, observer: Store) -> float:
    """Wait until everything has ended; how many seconds that took."""
    began = witness.now()
    for proxy in (stage.database.proxies or {}).values():
        await proxy.heal()
    for host in stage.hosts.values():
        await host.ready()
    await _repeated_resolve(traffic)
    await until(lambda: not traffic.outstanding, within=SETTLE_SECONDS)
    left = await all_ended(observer, within=max(5.0, began + SETTLE_SECONDS - witness.now()))
    took = witness.now() - began
    if left:
        stage.diary.wrong("liveness", f"{SETTLE_SECONDS:.0f} s after the last fault have not ended: {', '.join(left)}")
    traffic.forget()
    return took


async def _repeated_resolve(traffic: Traffic) -> None:
    while True:
        try:
            await traffic.resolve()
        except StoreUnavailable:
            continue
        return


async def all_ended(observer: Store, *, within: float = SETTLE_SECONDS) -> list[str]:
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
