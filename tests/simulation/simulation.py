"""Hosts, customers and a database in one thread, at a speed of its own: the real coordinators, and all else simulated.

    report = simulate(7, Mode.LIVENESS)

Two modes: in `SAFETY` anything may go wrong until the end; in `LIVENESS` all faults stop at some moment, and then everything
has to end in time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from types import SimpleNamespace
from typing import Final
from unittest.mock import patch

from loguru import logger

from heavyjobs.testing.reference import ReferenceDatabase
from tests.simulation.bodies import Mischief, Record
from tests.simulation.checks import Checks
from tests.simulation.computers import Computer
from tests.simulation.customers import Customer, Orders
from tests.simulation.faults import Fault
from tests.simulation.hosts import Host
from tests.simulation.loop import ProcessLoop
from tests.simulation.plots import Plot
from tests.simulation.scripts import Script, some_long_script, some_script
from tests.simulation.stores import Network
from tests.simulation.timing import FASTEST, FORFEIT_AFTER_SECONDS, SLOWEST
from tests.simulation.weather import Weather
from tests.simulation.world import Note, World

EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)
STORM_SECONDS: Final = {"safety": 40.0, "liveness": 25.0}
SETTLING_SECONDS: Final = 600.0
DRAINED_WITHIN_SECONDS: Final = 15.0
"""The time that a drain gives, the longest grace, and what is left to write."""


class Mode(StrEnum):
    SAFETY = "safety"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class Report:
    """What one simulation has shown.

    Attributes:
        broken: what must never be seen, and was.
        seconds: that passed in the world.
        jobs: how many there were; `ended`: how they ended.
    """

    seed: int
    mode: Mode
    broken: tuple[str, ...]
    faults: Counter[Fault]
    trace: list[Note]
    seconds: float
    jobs: int
    ended: Counter[str]


def simulate(seed: int, mode: Mode) -> Report:
    """Let one world run from its beginning to its end."""
    with _world(f"{mode} {seed}") as world:
        stage = Stage(world)
        try:
            stage.storm(STORM_SECONDS[mode])
            if mode is Mode.LIVENESS:
                stage.settle()
            stage.checks.at_the_end(settled=mode is Mode.LIVENESS)
        finally:
            stage.bury()
        return stage.report(seed, mode)


def rehearse(scripts: Sequence[Script], *, seed: int = 0, plot: Plot | None = None) -> Report:
    """Run these jobs on one host where nothing goes wrong but by the plot, until all have ended or should have."""
    with _world(f"rehearsal {seed}") as world:
        stage = Stage(world, hosts=1)
        try:
            stage.run_quietly(scripts, plot)
            stage.checks.at_the_end(settled=True)
        finally:
            stage.bury()
        return stage.report(seed, Mode.LIVENESS)


def stage_plot(plot: Plot, seed: int) -> Report:
    """Let three hosts do long jobs while this is done to them, and nothing else."""
    with _world(f"{plot.__name__} {seed}") as world:
        stage = Stage(world, hosts=3, siege=True)
        try:
            stage.run_plot(plot)
            stage.checks.at_the_end(settled=False)
        finally:
            stage.bury()
        return stage.report(seed, Mode.SAFETY)


@contextmanager
def _world(seed: str) -> Generator[World]:
    """A world from whose chance and time the jitter and the ids of the code under test come too."""
    world = World(Random(seed))  # noqa: S311 - it guards nothing
    state = random.getstate()
    random.seed(world.random.random())
    logger.disable("heavyjobs")
    with (
        patch("heavyjobs.model.os", SimpleNamespace(urandom=world.random.randbytes)),
        patch("heavyjobs.model.time", SimpleNamespace(time_ns=lambda: int((EPOCH.timestamp() + world.now) * 1e9))),
        patch("heavyjobs.coordinator.logbuffer.time", SimpleNamespace(time=lambda: EPOCH.timestamp() + world.now)),
    ):
        try:
            yield world
        finally:
            random.setstate(state)
            logger.enable("heavyjobs")


class Stage:
    """One world with all that is in it.

    Args:
        hosts: how many; by chance 1 to 4.
        siege: whether one of them is under siege; by chance if it is not said.
    """

    def __init__(self, world: World, *, hosts: int | None = None, siege: bool | None = None) -> None:
        self._world = world
        self._network = Network()
        self._mischief = Mischief()
        self._record = Record()
        self._orders = Orders()
        self._jump_seconds = 0.0
        self._database = ReferenceDatabase(lambda: EPOCH + timedelta(seconds=world.now + self._jump_seconds))
        self.checks = Checks(world, self._database, self._record, self._orders)
        self._drifting = hosts is None and world.chance(0.5)
        hosts = hosts or world.random.choice((1, 2, 2, 3, 3, 4))
        self._hosts = [self._new_host(number) for number in range(1, hosts + 1)]
        self._customers = [self._new_customer(number) for number in range(1, world.random.randint(1, 2) + 1)]
        self._weather = Weather(world, self._hosts, self._customers, self._network, self._mischief, siege=siege)
        self._stretch = world.random.choice((1.0, 1.0, 4.0))

    def _new_computer(self, name: str) -> Computer:
        rate = self._world.between(SLOWEST, FASTEST) if self._drifting else 1.0
        if self._drifting:
            self._world.inject(Fault.DRIFT, name, f"{rate:.3f}")
        return Computer(self._world, name, rate, self._world.between(0.0, 1e6))

    def _new_host(self, number: int) -> Host:
        computer = self._new_computer(f"host{number}")
        checks = self.checks
        return Host(
            computer,
            self._database,
            self._network,
            self._record,
            self._mischief,
            applied=checks.applied,
        )

    def _new_customer(self, number: int) -> Customer:
        computer = self._new_computer(f"client{number}")
        return Customer(computer, self._database, self._network, self._orders, applied=self.checks.applied)

    # -- the play

    def storm(self, seconds: float) -> None:
        """Jobs come, and things go wrong."""
        for host in self._hosts:
            self._world.after(self._world.between(0.0, 2.0), host.start)
        jobs, rush = (14, 0.3) if self._weather.siege else (self._world.random.randint(4, 14), 0.7)
        for _ in range(jobs):
            self._world.after(self._world.between(0.0, seconds * rush), self._order)
        if self._world.chance(0.2):
            self._world.after(self._world.between(0.0, seconds), self._let_the_database_jump)
        self._weather.begin()
        self._world.run(seconds)

    def settle(self) -> None:
        """All faults stop; some more things happen, which have to be dealt with in time."""
        self._world.note("world", "all faults stop")
        self.checks.calm = True
        self._weather.calm(hints=self._world.chance(0.5))
        now = self._world.now
        self._world.at(now + 1.0, self._order_much)
        self._world.at(now + 3.0, self._drain_a_host)
        if len(self._hosts) > 1:
            self._world.at(now + 25.0, self._order_much)
            self._world.at(now + 30.0, self._lose_a_host_for_good)
        self._world.at(now + 25.0, self._order_and_cancel)
        self._world.run(now + 45.0)
        self._world.run(now + SETTLING_SECONDS, done=self._all_settled)

    def run_quietly(self, scripts: Sequence[Script], plot: Plot | None) -> None:
        """These jobs and nothing else, but for the plot."""
        if plot:
            plot(self._world, self._hosts, self._network)
        for host in self._hosts:
            host.start()
        for script in scripts:
            self._customers[0].order(script)
        self._world.run(5.0)
        self._world.run(SETTLING_SECONDS, done=self._all_settled)

    def run_plot(self, plot: Plot) -> None:
        """Fewer jobs than there are slots, so that whoever may take one does so at once."""
        for host in self._hosts:
            host.start()
        for _ in self._hosts:
            self._world.after(self._world.between(0.0, 3.0), self._order)
        plot(self._world, self._hosts, self._network)
        self._world.run(STORM_SECONDS[Mode.SAFETY])

    def report(self, seed: int, mode: Mode) -> Report:
        world, jobs = self._world, self._database.tables.jobs.values()
        ended = Counter(job.record.state.value for job in jobs)
        return Report(seed, mode, tuple(world.broken), world.faults, world.trace, world.now, len(jobs), ended)

    def _all_settled(self) -> bool:
        return not self._orders.waiting and all(job.record.state.ended for job in self._database.tables.jobs.values())

    def _customer(self) -> Customer | None:
        living = [one for one in self._customers if not one.loop.dead]
        return self._world.random.choice(living) if living else None

    def _order(self) -> None:
        if customer := self._customer():
            chance = self._world.random.random()
            cancel_after = self._world.between(0.0, 6.0) if chance < 0.2 else None
            delay = self._world.between(0.5, 8.0) if chance > 0.8 else None
            if self._weather.siege:
                customer.order(some_long_script(self._world.random))
            else:
                script = some_script(self._world.random, stretch=self._stretch)
                customer.order(script, cancel_after=cancel_after, delay=delay)

    def _order_much(self) -> None:
        for _ in range(4 * len(self._hosts)):
            if customer := self._customer():
                customer.order(Script([["log", 2], ["work", 8.0]], lane=self._world.chance(0.3)))

    def _order_and_cancel(self) -> None:
        if customer := self._customer():
            customer.order(Script([["work", 60.0]], lane=self._world.chance(0.5)), cancel_after=4.0)

    def _lose_a_host_for_good(self) -> None:
        host = self._world.random.choice(self._hosts)
        self._world.note("world", f"{host.computer.name} is lost for good")
        host.retired = True
        host.lose_power()
        self._world.after(FORFEIT_AFTER_SECONDS / SLOWEST + 2.0, self.checks.holds_nothing, host.computer)

    def _drain_a_host(self) -> None:
        host = self._world.random.choice(self._hosts)
        if loop := host.loop:
            self._world.note("world", f"{loop.name} is drained")
            host.drain()
            self._world.after(DRAINED_WITHIN_SECONDS, self._has_stopped, loop)

    def _has_stopped(self, loop: ProcessLoop) -> None:
        if not loop.dead:
            self._world.breaks(f"{loop.name} was asked to drain {DRAINED_WITHIN_SECONDS:.0f} s ago, and works still")

    def _let_the_database_jump(self) -> None:
        self._jump_seconds = self._world.between(600.0, 30_000.0)
        self._world.inject(Fault.CLOCK_JUMPS, "database", f"{self._jump_seconds:.0f} s")

    def bury(self) -> None:
        self.checks.closed = True
        for loop in [*(loop for host in self._hosts for loop in host.loops), *(one.loop for one in self._customers)]:
            loop.bury()
