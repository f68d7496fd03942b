"""Faults that were thought out: what chance brings together once in hundreds of seeds happens here in nearly every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tests.simulation.checks import LISTENING_SECONDS
from tests.simulation.faults import Fault
from tests.simulation.hosts import Host
from tests.simulation.stores import Network
from tests.simulation.timing import FASTEST, SLOWEST
from tests.simulation.world import World

Plot: TypeAlias = Callable[[World, Sequence[Host], Network], None]

BEGINS_AFTER_SECONDS: Final = 6.0
"""By then there are jobs everywhere, and all know each other."""

UNHEARD_SECONDS: Final = 20.0
"""Long enough for several claims, between which more and more patience is had."""


def late_last_words(world: World, hosts: Sequence[Host], network: Network) -> None:
    """One host's clock is too slow, the others' are too fast; a tick is answered as late as it waits, then it is cut off."""
    victim, *others = hosts
    victim.computer.rate = SLOWEST
    for other in others:
        other.computer.rate = FASTEST
    network.last_word_patience = (1.0, 1.08)
    world.after(BEGINS_AFTER_SECONDS, setattr, network, "last_word", 0.5)


def deaf_observers(world: World, hosts: Sequence[Host], _network: Network) -> None:
    """One host is cut off for good; all others have seen its last tick, stand still for long, and go on at once."""
    victim, *others = hosts
    world.after(BEGINS_AFTER_SECONDS, _cut_off, world, victim)
    for other in others:
        stops_after = BEGINS_AFTER_SECONDS + world.between(1.0, 2.0)
        world.after(stops_after, _stop, world, other, LISTENING_SECONDS + world.between(0.5, 5.0))


def unheard_claims(world: World, _hosts: Sequence[Host], network: Network) -> None:
    """For some time no answer to a claim is heard, and what a session holds it hears late: jobs have ended meanwhile."""
    network.fates = {"claim": ("lost answer", Fault.LOST_ANSWER), "held": ("slow answer", Fault.SLOW)}
    world.after(UNHEARD_SECONDS, setattr, network, "fates", {})


def _cut_off(world: World, host: Host) -> None:
    world.inject(Fault.CUT_OFF, host.computer.name, "for good")
    host.computer.network_until = float("inf")


def _stop(world: World, host: Host, seconds: float) -> None:
    if loop := host.loop:
        world.inject(Fault.STOPPED, loop.name, f"{seconds:.1f} s")
        loop.stop_process()
        world.after(seconds, loop.continue_process)
