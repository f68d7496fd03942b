"""The machine of a simulated coordinator: its workers, guardian and lease, in the place of `heavyjobs.coordinator.machine`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self, cast

from typing_extensions import override

from heavyjobs import events
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.machine import Machine
from heavyjobs.events import Ended, WorkerOptions
from heavyjobs.model import Bill, Session, new_id
from heavyjobs.slots.bill import Sample
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.listener import Death, Listener
from heavyjobs.slots.probe import Asked, KindSeen, Probed
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.tree import Root, Swept
from heavyjobs.store.records import SessionSeen
from heavyjobs.waiting import first_of
from tests.simulation.bodies import Body, Mischief, Record
from tests.simulation.computers import Computer
from tests.simulation.faults import Fault
from tests.simulation.loop import ProcessLoop
from tests.simulation.scripts import KIND, LANE_KIND
from tests.simulation.world import World

GUARDIAN_LOOKS_SECONDS: Final = 1.0


class Worker:
    """A worker as its coordinator sees it: the face of `WorkerProcess`, in front of a body."""

    def __init__(self, machine: SimulatedMachine, name: str, *, lane: bool) -> None:
        self.name: Final = name
        self.lane: Final = lane
        self.warm: Final = asyncio.Event()
        self.over: Final = asyncio.Event()
        self.used = Bill()
        self.first_words = "nothing"
        self.body: Final = Body(machine.computer, machine.record, machine.mischief, self, parent=machine.loop.pid, lane=lane)
        self.root: Final = self.body.root
        self._machine = machine
        self._loop = machine.loop
        self._listeners: dict[int, Listener] = {}
        self._references = 0
        self._heard_at = self._loop.time()
        self._paused = False
        self._dying = False
        self._broken: str | None = None
        self._unread: list[tuple[int, str, Any]] = []

    # -- what a coordinator asks of it

    @property
    def running(self) -> int:
        return len(self._listeners)

    @property
    def usable(self) -> bool:
        return self.warm.is_set() and not self._dying and not self.over.is_set()

    def run(self, run: events.Run, listener: Listener) -> int:
        self._references += 1
        self._listeners[self._references] = listener
        self._tell(self.body.run, self._references, run)
        return self._references

    def answer(self, reference: int, answer: events.Answer) -> None:
        self._tell(self.body.answer, reference, answer)

    def cancel(self, reference: int, why: str = "") -> None:
        if self.lane or reference in self._listeners:
            self._tell(self.body.cancel, reference)

    def dump(self) -> None:
        pass  # its stacks would say nothing

    def ping(self) -> None:
        self._tell(self.body.ping)

    @property
    def silent_seconds(self) -> float:
        return 0.0 if self._paused else self._loop.time() - self._heard_at

    def blame(self) -> None:
        if listener := self._listeners.get(self.body.blocker):
            listener.blocks()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused and not self._dying:
            self._paused = False
            self._heard_at = self._loop.time()
            self._loop.call_soon(self._read)

    async def end(self, *, seconds: float = 5.0) -> Swept:
        self.body.kill(min(seconds, 0.2))
        if not await first_of(self.over, seconds=seconds):
            self._tell_gone(Death(None, None, reason="it cannot be ended"))
            self.over.set()
        return Swept((), ())

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        if not self.over.is_set():
            self._machine.computer.after(0.0005, call, *args)

    # -- what its body says

    def said(self, reference: int, word: str, what: Any) -> None:
        self._unread.append((reference, word, what))
        self._loop.post(self._read)

    def _read(self) -> None:
        """One bite of its pipe: what has come by now is heard, also after a line at which reading is to stop."""
        if not self._paused:
            while self._unread and self._broken is None:
                self._hear(*self._unread.pop(0))

    def _hear(self, reference: int, word: str, what: Any) -> None:
        listener = self._listeners.get(reference)
        match word:
            case "hello":
                self.warm.set()
            case "pong":
                self._heard_at = self._loop.time()
            case "garbage":
                self._broken = "a frame that cannot be read"
                self.body.kill()
            case "ended":
                self._end(reference, what)
            case "started" if listener:
                listener.started()
            case "status" if listener:
                listener.status(what)
            case "line" if listener:
                listener.line(what)
            case "asked" if listener:
                listener.asked(what)
            case _:
                pass

    def _end(self, reference: int, ended: Ended) -> None:
        if listener := self._listeners.pop(reference, None):
            listener.ended(ended)

    def bereaved(self, death: Death) -> None:
        self._loop.post(self._die, death)

    def _die(self, death: Death) -> None:
        self._dying = True
        self.pause()
        self._loop.call_later(0.02, self._close, death)

    def _close(self, death: Death) -> None:
        """What was still in the pipe wins; then it is gone."""
        self._unread += self.body.pipe
        self.body.pipe.clear()
        self._paused = False
        self._read()
        self._unread.clear()
        reason = self._broken
        self._tell_gone(Death(death.exit_code, death.signal, death.step, reason))
        self.over.set()

    def _tell_gone(self, death: Death) -> None:
        for listener in [*self._listeners.values()]:
            listener.gone(death)
        self._listeners.clear()


class SimulatedGuardian(Guardian):
    """A process of its own: it goes on when the coordinator is stopped, and sleeps when the machine does."""

    def __init__(self, machine: SimulatedMachine) -> None:
        super().__init__()
        self._machine = machine
        self._computer = machine.computer
        self._up = False
        self._starts = 0
        self.pid = 0

    @override
    def start(self) -> None:
        self._up = True
        self._starts += 1
        self.pid = self._computer.new_pid()
        self._computer.processes[self.pid] = self
        self._watch_lease(self._starts)

    @property
    @override
    def lifeline(self) -> int | None:
        return None

    @property
    @override
    def alive(self) -> bool:
        return self._up

    @override
    def watch(self, root: Root) -> None:
        self._roots[root.pid] = root

    @override
    def forget(self, root: Root) -> None:
        self._roots.pop(root.pid, None)

    @override
    def renew(self, until: float) -> None:
        self._lease_until = until

    @override
    def stop(self) -> None:
        self.die()

    def die(self) -> None:
        self._up = False
        self._computer.processes.pop(self.pid, None)

    def thaw(self) -> None:
        pass

    def _watch_lease(self, start: int) -> None:
        if not self._up or start != self._starts:
            return
        left = self._lease_until - self._computer.boot_seconds()
        if left <= 0:
            self.end_all()
            self._lease_until = left = float("inf")
        self._computer.after(min(left, GUARDIAN_LOOKS_SECONDS), self._watch_lease, start)

    def end_all(self) -> None:
        if self._roots:
            self._machine.end(*self._roots.values(), seconds=self._machine.kill_seconds)
            self._roots.clear()


class SimulatedLease(Lease):
    """The lease's thread is a row of looks: no stall of the event loop puts them off, but a stopped process does."""

    def __init__(self, loop: ProcessLoop, seconds: float, guardian: Guardian, *, on_lapse: Callable[[], None]) -> None:
        super().__init__(seconds, guardian, on_lapse=on_lapse, now=loop.computer.boot_seconds)
        self._loop = loop

    @override
    def __enter__(self) -> Self:
        self._loop.lease_holds = lambda: self.holds
        self._guardian.renew(self._until)
        self._look_on()
        return self

    @override
    def __exit__(self, *exc_info: object) -> None:
        self._over.set()

    def _look_on(self) -> None:
        if self._over.is_set() or self._loop.dead:
            return
        if self._loop.frozen:
            self._loop.on_thaw.append(self._look_on)
        elif (rest := self.look()) is not None:
            self._loop.computer.after(rest, self._look_on)


class SimulatedMachine(Machine):
    """What one coordinator process finds on its computer."""

    def __init__(self, loop: ProcessLoop, record: Record, mischief: Mischief, *, kill_seconds: float) -> None:
        self.loop: Final = loop
        self.computer: Final[Computer] = loop.computer
        self.world: Final[World] = loop.world
        self.record: Final = record
        self.mischief: Final = mischief
        self.kill_seconds: Final = kill_seconds
        self.workers: Final[dict[int, Worker]] = {}
        self.guardians: Final[list[SimulatedGuardian]] = []
        self._names = itertools.count(1)

    @override
    def now(self) -> float:
        return self.computer.boot_seconds()

    @override
    def session(self, name: str) -> Session:
        computer = self.computer
        session = Session(new_id(), name, computer.name, computer.boot_id, self.loop.pid, float(self.loop.pid), "0")
        computer.sessions.append(session.id)
        self.world.note(self.loop.name, f"session {session.id}")
        return session

    @override
    def is_gone(self, other: SessionSeen, *, here: Session) -> bool:
        return (other.host, other.boot_id) == (here.host, here.boot_id) and other.pid not in self.computer.processes

    @override
    def is_helpless(self, other: SessionSeen, *, here: Session) -> bool:
        process = self.computer.processes.get(other.pid)
        stopped = isinstance(process, ProcessLoop) and process.stopped and other.boot_id == here.boot_id
        return self.is_gone(other, here=here) or (other.host == here.host and stopped)

    @override
    async def probe(self, asked: Asked) -> Probed:
        await asyncio.sleep(0.1)
        return Probed(kinds={KIND: KindSeen(1, waits=False), LANE_KIND: KindSeen(1, waits=True)})

    @override
    def guardian(self) -> Guardian:
        guardian = SimulatedGuardian(self)
        self.guardians.append(guardian)
        return guardian

    @override
    def lease(self, seconds: float, guardian: Guardian, *, on_lapse: Callable[[], None]) -> Lease:
        return SimulatedLease(self.loop, seconds, guardian, on_lapse=on_lapse)

    @override
    async def start_worker(
        self, name: str, options: WorkerOptions, guardian: Guardian, *, preload: tuple[str, ...], lane: bool
    ) -> WorkerProcess:
        await asyncio.sleep(self.world.between(0.02, 0.1))
        worker = Worker(self, name, lane=lane)
        self.workers[worker.root.pid] = worker
        guardian.watch(worker.root)
        self.computer.after(self.world.between(0.01, 0.2), worker.body.hello)
        if self.world.chance(self.mischief.stillborn):
            self.world.inject(Fault.WORKER_STILLBORN, worker.body.name)
            worker.body.kill(0.1)
        return cast("WorkerProcess", worker)

    @override
    def end(self, *roots: Root, seconds: float) -> None:
        for root in roots:
            if worker := self.workers.get(root.pid):
                worker.body.kill(seconds)

    async def sweep_after_the_dead(self) -> None:
        """Nothing lies about on this computer."""

    async def end_left_by(self, gone: SessionSeen) -> None:
        """End what a coordinator of this computer has left running whose process is gone."""
        while left := [one for one in self.computer.processes.values() if isinstance(one, Body) and one.parent == gone.pid]:
            for body in left:
                body.kill(0.1)
            await asyncio.sleep(0.1)

    @override
    async def sample(self, pids: Iterable[int]) -> Mapping[int, Sample]:
        await asyncio.sleep(0.01)
        return {pid: Sample(0.1, self.workers[pid].body.memory_bytes) for pid in pids if self.workers[pid].body.alive}

    @override
    def out_of_memory_kills(self) -> int:
        return 0

    def orphan(self) -> None:
        """The coordinator is gone: the guardian ends all, or the kernel does, when the guardian is gone too."""
        for worker in self.workers.values():
            if worker.body.alive:
                worker.body.kill(self.kill_seconds / 2)
        for guardian in self.guardians:
            self.computer.after(self.kill_seconds, guardian.die)
