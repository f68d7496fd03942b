"""Look after what runs: timeouts, memory, the health of the guardian and of what forks workers."""

from __future__ import annotations

import asyncio
from typing import Final

from heavyjobs.coordinator import journal
from heavyjobs.coordinator.dispatch import Dispatch, Spawn
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.coordinator.machine import Machine
from heavyjobs.events import Stop
from heavyjobs.slots.bill import Sample
from heavyjobs.slots.guardian import Guardian

TEND_SECONDS: Final = 0.5
"""How often timeouts are looked at; trees, and what forks workers, every second time."""

HELD_UP_SECONDS: Final = 2.0
"""Without an answer to a ping for so long, a step holds up all others on the lane: timeouts wait until it is done, or ended."""


class Tending:
    def __init__(self, dispatch: Dispatch, guardian: Guardian, machine: Machine, *, spawn: Spawn) -> None:
        self._dispatch = dispatch
        self._guardian = guardian
        self._machine = machine
        self._spawn = spawn

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            self._look()
            await asyncio.sleep(TEND_SECONDS)
            self._look()
            self._have_forking_go_on()
            await self._sample()

    def _look(self) -> None:
        for invocation in [*self._dispatch.running.values()]:
            if invocation.worker.lane and invocation.worker.silent_seconds > HELD_UP_SECONDS:
                invocation.stands_still(TEND_SECONDS)
            elif invocation.overdue():
                grace = invocation.claimed.policy.grace_seconds
                self._spawn(invocation.halt(Stop.TIMEOUT, grace_seconds=grace), "ending what has timed out")
        if not self._guardian.alive:
            journal.say("the guardian is gone; starting another", level="WARNING")
            self._guardian.start()

    def _have_forking_go_on(self) -> None:
        for pid in self._machine.continue_forking():
            journal.say("the process that forks workers was stopped by a signal; it is continued", level="WARNING", pid=pid)

    async def _sample(self) -> None:
        in_slots = {run.worker.root.pid: run for run in self._dispatch.running.values() if not run.worker.lane}
        if not in_slots:
            return
        for pid, used in (await self._machine.sample(in_slots)).items():
            if not in_slots[pid].over.is_set():
                self._take_in(in_slots[pid], used)

    def _take_in(self, invocation: Invocation, used: Sample) -> None:
        if news := invocation.stopped(used.stopped):
            job = invocation.claimed
            journal.say(news, level="WARNING", job=job.claim.job, kind=job.kind, pid=invocation.worker.root.pid)
        if invocation.sampled(used):
            self._spawn(invocation.halt(Stop.MEMORY, grace_seconds=0), "ending what uses too much memory")
