"""What goes wrong in one world: some kinds of faults, each seed others, so that each is met alone, in pairs and in crowds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tests.simulation.bodies import Mischief
from tests.simulation.customers import Customer
from tests.simulation.faults import Fault
from tests.simulation.hosts import Host
from tests.simulation.stores import Network
from tests.simulation.timing import FASTEST, SLOWEST
from tests.simulation.world import World

_NETWORK: Final = {
    "refused": 0.05,
    "lost_answer": 0.08,
    "slow": 0.1,
    "last_word": 0.6,
    "late_commit": 0.03,
    "conflict": 0.08,
    "hint_lost": 0.5,
    "hint_late": 0.3,
    "hint_twice": 0.2,
    "listener_lost": 0.05,
}
_MISCHIEF: Final = {"crash": 0.03, "garbage": 0.01, "late": 0.05, "stillborn": 0.1}

SIEGE: Final = {"slow": 0.1, "last_word": 0.08}
"""Of the network, when one host is cut off again and again: its ticks are answered late, and then no more."""

SIEGE_SECONDS: Final = (20.0, 30.0)
SHORT_TO_LONG_SECONDS: Final = (0.3, 1.5, 4.0, 7.0, 12.0, 20.0)
"""Shorter than a tick, than a lease, than what declares a session dead; and longer than all of them."""


class Weather:
    """Makes faults until `calm`.

    Args:
        siege: by chance if it is not said.

    Attributes:
        siege: one host is cut off, stopped or asleep for longer than others wait for it, and that is nearly all.
    """

    def __init__(
        self,
        world: World,
        hosts: Sequence[Host],
        customers: Sequence[Customer],
        network: Network,
        mischief: Mischief,
        *,
        siege: bool | None = None,
    ) -> None:
        self._world = world
        self._hosts = hosts
        self._customers = customers
        self._network = network
        self._mischief = mischief
        self._over = False
        happenings: list[Callable[[], None]] = [
            self._stop_a_coordinator,
            self._let_a_machine_sleep,
            self._kill_a_coordinator,
            self._cut_the_power,
            self._kill_a_guardian,
            self._kill_a_worker,
            self._cut_a_network,
            self._cut_all_networks,
            self._stall_a_loop,
            self._drain,
            self._drain_twice,
            self._kill_a_customer,
        ]
        self.siege = len(hosts) > 1 and world.chance(0.4) if siege is None else siege
        self._happenings = [one for one in happenings if world.chance(0.5)]
        self._every_seconds = world.random.choice((1.5, 4.0, 10.0))
        if self.siege:
            self._lay_siege(hosts[0])
            self._happenings = [self._cut_a_network, self._cut_a_network, self._stop_a_coordinator, self._let_a_machine_sleep]
            self._every_seconds = 8.0

    def _lay_siege(self, victim: Host) -> None:
        """With the worst of clocks, now and then: its own too slow, all others too fast."""
        victim.computer.besieged = self._network.siege = True
        if self._world.chance(0.5):
            for host in self._hosts:
                host.computer.rate = SLOWEST if host is victim else FASTEST
                self._world.inject(Fault.DRIFT, host.computer.name, f"{host.computer.rate}")

    def begin(self) -> None:
        if self.siege:
            for name, value in SIEGE.items():
                setattr(self._network, name, value)
        for probabilities, most in () if self.siege else ((self._network, _NETWORK), (self._mischief, _MISCHIEF)):
            for name, value in most.items():
                if self._world.chance(0.4):
                    setattr(probabilities, name, value * self._world.random.random())
        if self._happenings:
            self._world.after(self._rest() + 8.0 * self.siege, self._happen)

    def calm(self, *, hints: bool) -> None:
        """All faults stop; what was stopped goes on. Without `hints` wake-ups are off, which is no fault."""
        self._over = True
        for probabilities, most in ((self._network, _NETWORK), (self._mischief, _MISCHIEF)):
            for name in most:
                setattr(probabilities, name, 0.0)
        self._network.hints = hints
        self._network.siege = False
        for host in self._hosts:
            host.computer.network_until = 0.0
            host.computer.wake()
            if host.loop:
                host.loop.continue_process()
            host.start()
        for customer in self._customers:
            customer.loop.computer.network_until = 0.0

    def _rest(self) -> float:
        return self._every_seconds * self._world.random.expovariate(1.0)

    def _happen(self) -> None:
        if not self._over:
            self._world.random.choice(self._happenings)()
            self._world.after(self._rest(), self._happen)

    # -- what may happen

    def _host(self) -> Host:
        """One that is awake, if any is: on a sleeping machine nothing happens."""
        if self.siege:
            return self._hosts[0]
        awake = [host for host in self._hosts if not host.computer.asleep]
        return self._world.random.choice(awake or self._hosts)

    def _seconds(self) -> float:
        return self._world.random.choice(SIEGE_SECONDS if self.siege else SHORT_TO_LONG_SECONDS) * self._world.between(0.5, 1.0)

    def _stop_a_coordinator(self) -> None:
        host, seconds = self._host(), self._seconds()
        if (loop := host.loop) and host.guarded:
            self._world.inject(Fault.STOPPED, loop.name, f"{seconds:.1f} s")
            loop.stop_process()
            self._world.after(seconds, loop.continue_process)

    def _let_a_machine_sleep(self) -> None:
        host, seconds = self._host(), self._seconds()
        if not host.computer.asleep:
            self._world.inject(Fault.SLEEP, host.computer.name, f"{seconds:.1f} s")
            host.computer.sleep(seconds)

    def _kill_a_coordinator(self) -> None:
        host = self._host()
        if loop := host.loop:
            self._world.inject(Fault.KILLED, loop.name)
            host.crash()
            self._world.after(self._seconds(), host.start)

    def _cut_the_power(self) -> None:
        host = self._host()
        self._world.inject(Fault.POWER_CUT, host.computer.name)
        host.lose_power()
        self._world.after(self._seconds(), host.start)

    def _kill_a_guardian(self) -> None:
        """Not that of a coordinator that stands still: then nobody is left who could end its trees (a named exception)."""
        host = self._host()
        if host.loop is None or host.loop.stopped:
            return
        if (machine := host.machine) and (alive := [one for one in machine.guardians if one.alive]):
            self._world.inject(Fault.GUARDIAN_KILLED, machine.loop.name)
            alive[-1].die()

    def _kill_a_worker(self) -> None:
        if (machine := self._host().machine) and (alive := [one for one in machine.workers.values() if one.body.alive]):
            worker = self._world.random.choice(alive)
            self._world.inject(Fault.WORKER_KILLED, worker.body.name)
            worker.body.kill()

    def _cut_a_network(self) -> None:
        self._cut(self._host(), self._seconds(), Fault.CUT_OFF)

    def _cut_all_networks(self) -> None:
        seconds = self._seconds()
        for host in self._hosts:
            self._cut(host, seconds, Fault.OUTAGE)
        for customer in self._customers:
            customer.loop.computer.network_until = self._world.now + seconds

    def _cut(self, host: Host, seconds: float, kind: Fault) -> None:
        self._world.inject(kind, host.computer.name, f"{seconds:.1f} s")
        host.computer.network_until = max(host.computer.network_until, self._world.now + seconds)

    def _stall_a_loop(self) -> None:
        if loop := self._host().loop:
            loop.stall_seconds = self._seconds() / 2
            self._world.inject(Fault.STALLED, loop.name, f"{loop.stall_seconds:.1f} s")

    def _drain(self, *, twice: bool = False) -> None:
        host = self._host()
        if host.loop:
            self._world.inject(Fault.DRAINED_TWICE if twice else Fault.DRAINED, host.loop.name)
            host.drain(twice=twice)

    def _drain_twice(self) -> None:
        self._drain(twice=True)

    def _kill_a_customer(self) -> None:
        if len(living := [one for one in self._customers if not one.loop.dead]) > 1:
            customer = self._world.random.choice(living)
            self._world.inject(Fault.CLIENT_DIES, customer.loop.name)
            customer.die()
