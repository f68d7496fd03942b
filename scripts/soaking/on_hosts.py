"""What is done to a host: its coordinator, and the processes beside and below it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import psutil

from soaking.diary import Diary
from soaking.family import fork_servers, guardians, programs, workers
from soaking.hosts import Host, until
from soaking.plan import Fault
from soaking.witness import now

OF_COORDINATORS: Final = frozenset(
    {
        "coordinator killed",
        "coordinator and guardian killed together",
        "coordinator stopped for less than its lease",
        "coordinator stopped for longer than its lease",
        "coordinator stopped until it is declared dead",
        "coordinator drained",
        "coordinator told twice to end",
        "guardian killed",
    }
)
"""One after the other: with its guardian gone, a coordinator that is stopped has nobody who ends its jobs."""

_FINDERS: Final[Mapping[str, Callable[[Sequence[psutil.Process]], Sequence[psutil.Process]]]] = {
    "fork server killed": fork_servers,
    "lane killed": lambda family: workers(family, lane=True),
    "child program killed": programs,
    "worker killed": lambda family: workers(family, lane=False),
    "worker stopped for a while": lambda family: workers(family, lane=False),
}

NEW_GUARDIAN_SECONDS: Final = 20.0

APPEAR_SECONDS: Final = 3.0
"""How long to wait for a process that a fault could happen to."""


async def inflict(fault: Fault, host: Host, diary: Diary) -> bool:
    """Do it; False when there was nobody to do it to."""
    if not await host.ready():
        diary.wrong("starts", f"{host.name} has not begun within a minute: …{host.said()[-600:]}")
        return False
    if fault.kind in OF_COORDINATORS:
        return await _to_coordinator(fault, host, diary)
    return await _to_process(fault, host)


async def _to_coordinator(fault: Fault, host: Host, diary: Diary) -> bool:
    match fault.kind:
        case "coordinator killed":
            return await _end(host, fault, signal.SIGKILL)
        case "coordinator and guardian killed together":
            _kill(guardians(host.family()))
            return await _end(host, fault, signal.SIGKILL)
        case "coordinator drained":
            return await _end(host, fault, signal.SIGTERM)
        case "coordinator told twice to end":
            return await _end(host, fault, signal.SIGTERM, signal.SIGTERM)
        case "guardian killed":
            return await _kill_guardian(host, diary)
        case _:
            return await _stop(host, fault.seconds)


async def _to_process(fault: Fault, host: Host) -> bool:
    find = _FINDERS[fault.kind]
    await until(lambda: find(host.family()), within=APPEAR_SECONDS)
    if fault.kind == "worker stopped for a while":
        return await _stop_one(find(host.family()), fault.seconds)
    return _kill(find(host.family()))


async def _end(host: Host, fault: Fault, *numbers: signal.Signals) -> bool:
    """End its coordinator; it begins again after the fault's seconds."""
    dying = host.process
    host.told, host.pause_seconds = fault.kind, fault.seconds
    for number in numbers:
        host.signal(number)
        await asyncio.sleep(0.05)
    await until(lambda: host.process is not dying, within=60.0)
    return True


async def _stop(host: Host, seconds: float) -> bool:
    host.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        host.signal(signal.SIGCONT)
    return True


async def _kill_guardian(host: Host, diary: Diary) -> bool:
    """Kill it, and wait for the next one."""
    old = guardians(host.family())
    if not _kill(old):
        return False
    killed_at, life = now(), host.process
    if not await until(lambda: host.process is not life or {*guardians(host.family())} - {*old}, within=NEW_GUARDIAN_SECONDS):
        diary.wrong("guardian", f"{host.name} had no new guardian {now() - killed_at:.1f} s after the old one was killed")
    return True


def _kill(found: Sequence[psutil.Process]) -> bool:
    for process in random.sample(found, min(1, len(found))):
        with suppress(psutil.Error):
            process.kill()
            return True
    return False


async def _stop_one(found: Sequence[psutil.Process], seconds: float) -> bool:
    if not found:
        return False
    process = random.choice(found)  # noqa: S311 - guards nothing
    with suppress(psutil.Error):
        process.suspend()
        await asyncio.sleep(seconds)
        process.resume()
    return True
