"""Computers: a clock that goes a little wrong, sleep, pids, and the processes that live and die on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from tests.simulation.timing import AFTER_WAKING_SECONDS
from tests.simulation.world import World

Timer: TypeAlias = tuple[float, Callable[..., object], tuple[Any, ...]]

_EPSILON: Final = 1e-6


class Process(Protocol):
    """Something that a computer runs."""

    @property
    def pid(self) -> int: ...

    def die(self) -> None: ...

    def thaw(self) -> None:
        """The computer has woken up."""
        ...


@dataclass(eq=False, slots=True)
class Computer:
    """One machine.

    Attributes:
        rate: seconds of its clock per true second.
        offset: what its boot clock says at the beginning of the world.
        besieged: whether it may be cut off in the worst of all moments.
        last_sleep: when it last fell asleep, after it had been awake for long enough to end what should be.
        network_until: true time until which it does not reach the database; the answers of what has arrived are lost too.
    """

    world: World
    name: str
    rate: float = 1.0
    offset: float = 0.0
    boots: int = 0
    besieged: bool = False
    network_until: float = 0.0
    processes: dict[int, Process] = field(default_factory=dict[int, Process])
    sessions: list[UUID] = field(default_factory=list[UUID])
    asleep_until: float | None = None
    woke_at: float = -1e9
    last_sleep: float = 0.0
    _put_off: list[Timer] = field(default_factory=list[Timer])
    _slept: float = 0.0
    _asleep_since: float = 0.0
    _pids: int = 100

    # -- its clocks

    def boot_seconds(self) -> float:
        """A clock that counts sleep."""
        return self.offset + self.rate * self.world.now

    def monotonic(self) -> float:
        """A clock that stands still while the machine sleeps."""
        now = self._asleep_since if self.asleep_until is not None else self.world.now
        return self.offset + self.rate * (now - self._slept)

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Call when the monotonic clock says so: sleep puts it off."""
        self.world.at((when - self.offset) / self.rate + self._slept, self._due, when, call, args)

    def after(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        self.at(self.monotonic() + seconds, call, *args)

    def _due(self, when: float, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.asleep_until is not None:
            self._put_off.append((when, call, args))
        elif self.monotonic() < when - _EPSILON:
            self.at(when, call, *args)
        else:
            call(*args)

    # -- sleep

    def sleep(self, seconds: float) -> None:
        """All stands still for so long, and the network does not wait."""
        if self.asleep_until is None:
            if self.world.now > self.woke_at + AFTER_WAKING_SECONDS:
                self.last_sleep = self.world.now
            self._asleep_since = self.world.now
            self.asleep_until = self.world.now + seconds
            self.world.at(self.asleep_until, self._wake)

    def wake(self) -> None:
        """Before its time, if need be."""
        if self.asleep_until is not None:
            self.asleep_until = self.world.now
            self._wake()

    def _wake(self) -> None:
        if self.asleep_until is None or self.world.now < self.asleep_until - _EPSILON:
            return
        self._slept += self.world.now - self._asleep_since
        self.asleep_until = None
        self.woke_at = self.world.now
        put_off, self._put_off = self._put_off, []
        for when, call, args in put_off:
            self._due(when, call, args)
        for process in [*self.processes.values()]:
            process.thaw()

    @property
    def asleep(self) -> bool:
        return self.asleep_until is not None

    @property
    def cut_off(self) -> bool:
        return self.world.now < self.network_until

    # -- its processes

    @property
    def boot_id(self) -> str:
        return f"{self.name} boot {self.boots}"

    def new_pid(self) -> int:
        self._pids += 1
        return self._pids

    def crash(self) -> None:
        """The power is cut: everything on it is gone at once. Its clock goes on, as if the machine were up again at once."""
        self.wake()
        self.boots += 1
        for process in [*self.processes.values()]:
            process.die()
