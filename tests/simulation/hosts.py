"""A host: a computer, and the coordinator on it, which is started again whenever it has gone."""

from __future__ import annotations

import asyncio
from typing import Final

from heavyjobs.coordinator import Coordinator
from heavyjobs.settings import CoordinatorSettings, QueueSettings, Settings
from heavyjobs.testing.reference import ReferenceDatabase
from tests.simulation.bodies import Mischief, Record
from tests.simulation.computers import Computer
from tests.simulation.loop import ProcessLoop, new_loop
from tests.simulation.machines import SimulatedMachine
from tests.simulation.stores import Applied, Network, Reached, as_store
from tests.simulation.timing import FORFEIT_AFTER_SECONDS, KILL_SECONDS, LEASE_SECONDS
from tests.simulation.world import World


class Host:
    """One host and all that ever ran on it."""

    def __init__(
        self,
        computer: Computer,
        database: ReferenceDatabase,
        network: Network,
        record: Record,
        mischief: Mischief,
        *,
        applied: Applied,
    ) -> None:
        self.computer: Final = computer
        self.world: Final[World] = computer.world
        self.loops: Final[list[ProcessLoop]] = []
        self.machine: SimulatedMachine | None = None
        self.coordinator: Coordinator | None = None
        self.retired = False
        self._database = database
        self._network = network
        self._record = record
        self._mischief = mischief
        self._applied = applied
        self._settings = _settings(computer.name, slots=self.world.random.randint(1, 3))
        self._main: asyncio.Task[None] | None = None

    @property
    def loop(self) -> ProcessLoop | None:
        """Of the coordinator that runs now."""
        return self.loops[-1] if self.loops and not self.loops[-1].dead else None

    @property
    def guarded(self) -> bool:
        """Whether its coordinator has a guardian that lives."""
        return self.machine is not None and any(guardian.alive for guardian in self.machine.guardians)

    # -- life

    def start(self) -> None:
        """Start a coordinator, unless one runs or none should any more."""
        if self.loop is not None or self.retired:
            return
        name = f"{self.computer.name}.{len(self.loops) + 1}"
        loop = new_loop(self.computer, name, trouble=self.world.breaks)
        self.loops.append(loop)
        self.machine = SimulatedMachine(loop, self._record, self._mischief, kill_seconds=KILL_SECONDS)
        reached = Reached(self._database, loop, self._network, applied=self._applied)
        self.coordinator = Coordinator(self._settings, as_store(reached), self.machine)
        self._main = loop.create_task(self.coordinator.run(), name=name)
        self._main.add_done_callback(self._stopped)
        self.world.note(name, "starts")

    def _stopped(self, main: asyncio.Task[None]) -> None:
        if main.cancelled() or not (loop := self.loop):
            return
        if error := main.exception():
            self.world.breaks(f"{loop.name}: the coordinator was ended by {_described(error)}")
        self.world.note(loop.name, "has stopped")
        self.world.after(0.0, self._exit, loop)

    def _exit(self, loop: ProcessLoop) -> None:
        loop.die()
        self._check_nothing_left()
        self.world.after(self.world.between(0.5, 5.0), self.start)

    def _check_nothing_left(self) -> None:
        machine = self.machine
        left = [worker.name for worker in machine.workers.values() if worker.body.alive] if machine else []
        if left:
            self.world.breaks(f"{self.computer.name}: its coordinator has stopped, and left {', '.join(left)}")

    def drain(self, *, twice: bool = False) -> None:
        if (loop := self.loop) and self.coordinator:
            for _ in range(2 if twice else 1):
                loop.post(self.coordinator.stop)

    def crash(self) -> None:
        """SIGKILL for the coordinator."""
        if (loop := self.loop) and self.machine:
            loop.die()
            self.machine.orphan()

    def lose_power(self) -> None:
        self.computer.crash()


def _settings(name: str, *, slots: int) -> Settings:
    return Settings(
        coordinator=CoordinatorSettings(
            name=name,
            tick_every=1.0,
            lease=LEASE_SECONDS,
            kill=KILL_SECONDS,
            forfeit_after=FORFEIT_AFTER_SECONDS,
            poll_every=2.0,
            drain=4.0,
            cpus=4.0,
            memory=8 << 30,
            lane=6,
            spares=1,
        ),
        queues={"default": QueueSettings(slots=slots)},
    )


def _described(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{error.message}: {'; '.join(_described(one) for one in error.exceptions)}"
    return repr(error)
