"""Worker processes as they are on a computer: they play the scripts of jobs, and say so over a pipe.

What they do is recorded as it truly is: the work of each claim as an interval of true time, and each line that was said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

import orjson

from heavyjobs import events
from heavyjobs.events import Ended, Stop
from heavyjobs.history import Witness
from heavyjobs.logs import encode_lines
from heavyjobs.model import ClaimKey, Ending, Policy, Source
from heavyjobs.slots.listener import Death
from heavyjobs.slots.tree import Root
from heavyjobs.values import JsonText
from tests.simulation.computers import Computer
from tests.simulation.faults import Fault
from tests.simulation.scripts import ENDS, GREEDY_BYTES, Script, Step
from tests.simulation.timing import AFTER_WAKING_SECONDS

Doing: TypeAlias = Generator[float | events.Request, JsonText, Ended]

FLOOD_BYTES: Final = 2_200_000


class Cancelled(Exception):
    """The job was asked to stop, and listens."""


class Refused(Exception):
    """What the job asked for was refused."""


class Ear(Protocol):
    """The coordinator's side of a worker."""

    def said(self, reference: int, word: str, what: Any) -> None: ...

    def bereaved(self, death: Death) -> None: ...


@dataclass(slots=True)
class Record:
    """What truly happened on all computers."""

    witnesses: list[Witness] = field(default_factory=list[Witness])
    lines: dict[ClaimKey, int] = field(default_factory=dict[ClaimKey, int])


@dataclass(slots=True)
class Mischief:
    """What may go wrong in worker processes, as probabilities of each word that one says."""

    crash: float = 0.0
    garbage: float = 0.0
    late: float = 0.0
    stillborn: float = 0.0


class Play:
    """One invocation at work."""

    def __init__(self, body: Body, reference: int, run: events.Run) -> None:
        self.reference: Final = reference
        self.claim: Final = ClaimKey(run.job, run.claim)
        self.began: float | None = None
        self._body = body
        self._run = run
        self._script = Script.of(run.parameters)
        self._turn = 0
        self._numbers = 0
        self._asked: int | None = None
        self._cancelled = False
        self._children: tuple[UUID, ...] = ()
        self._doing = self._do()

    @property
    def greedy(self) -> bool:
        return self._script.greedy and self.began is not None

    def begin(self) -> None:
        self._go_on(self._turn, None)

    def cancel(self) -> None:
        """It hears of it at its next step, unless it is deaf."""
        if self.began is not None and not self._script.deaf and not self._cancelled:
            self._cancelled = True
            self._turn += 1
            self._asked = None
            self._body.computer.after(0.001, self._go_on, self._turn, Cancelled())

    def answer(self, answer: events.Answer) -> None:
        if answer.number == self._asked:
            self._asked = None
            self._go_on(self._turn, Refused(answer.refused) if answer.refused is not None else answer.value)

    def _go_on(self, turn: int, what: JsonText | Exception | None) -> None:
        if turn != self._turn or not self._body.alive:
            return
        if (wait := self._body.held_up(self)) > 0:
            self._body.computer.after(wait, self._go_on, turn, what)
            return
        try:
            wanted = self._feel(what)
        except StopIteration as end:
            self._body.finish(self, end.value)
            return
        if isinstance(wanted, float):
            self._body.computer.after(wanted, self._go_on, turn, None)
        elif self._body.alive:
            self._numbers += 1
            self._asked = self._numbers
            self._body.say(self, "asked", events.Asked(number=self._numbers, request=wanted))

    def _feel(self, what: JsonText | Exception | None) -> float | events.Request:
        if isinstance(what, Exception):
            return self._doing.throw(what)
        return self._doing.send(what)  # type: ignore[arg-type]  # None begins it, and ends a pause

    # -- the script

    def _do(self) -> Doing:
        try:
            return (yield from self._all())
        except Cancelled:
            yield 0.01
            return Ended(ending=Ending.CANCELLED, message="CancelRequested: this job is to stop", type="CancelRequested")
        except Refused as refused:
            return Ended(ending=Ending.RAISED, message=f"refused: {refused}", type="Refused")

    def _all(self) -> Doing:
        yield 0.002
        self.began = self._body.computer.world.now
        self._body.say(self, "started", None)
        for step in self._script.steps:
            yield from self._step(step)
        return (yield from self._end(self._script.end_of(self._run.attempt)))

    def _step(self, step: Step) -> Generator[float | events.Request, JsonText, None]:
        match step:
            case ["work", seconds]:
                yield float(seconds)
            case ["block", seconds]:
                self._body.block(self, seconds)
                yield float(seconds)
            case ["checkpoint" | "confirm" | "spawn" | "await", *_]:
                yield from self._ask(step)
            case _:
                yield from self._speak(step)

    def _ask(self, step: Step) -> Generator[float | events.Request, JsonText, None]:
        match step:
            case ["checkpoint"]:
                yield events.Checkpoint(JsonText(f'{{"claim": {self._run.claim}}}'))
            case ["spawn", children]:
                made = tuple(_child(number, Script(**child)) for number, child in enumerate(children))
                self._children = tuple(events.CHILD_IDS.validate_json((yield events.Spawn(made))))
            case ["await"]:
                yield events.Await(self._children, first_death=False)
            case _:
                yield events.Confirm()

    def _speak(self, step: Step) -> Generator[float, JsonText, None]:
        match step:
            case ["log", lines]:
                for number in range(lines):
                    self._line(f"line {number}")
                    yield 0.001
            case ["flood"]:
                for _ in range(2):
                    yield 0.001
                    self._line("~" * 16_000, times=FLOOD_BYTES // 16_000)
            case ["status"]:
                self._body.say(self, "status", JsonText(f'{{"turn": {self._turn}}}'))
                yield 0.001
            case _:
                raise AssertionError(f"no step: {step}")

    def _line(self, text: str, *, times: int = 1) -> None:
        (line,) = encode_lines(0.0, Source.LOGURU, 20, text)
        if times > 1:
            line = line.replace(text.encode(), text.encode() * times)
        self._body.say(self, "line", line)

    def _end(self, how: str) -> Doing:
        assert how in ENDS
        match how:
            case "succeed":
                return Ended(ending=Ending.SUCCEEDED, result=JsonText(f'{{"claim": {self._run.claim}}}'))
            case "fail" | "fail for good":
                error = JsonText('"cannot"')
                return Ended(ending=Ending.FAILED, error=error, message="cannot", type="Cannot", retry=how == "fail")
            case "raise":
                return Ended(ending=Ending.RAISED, message="ValueError: no", type="builtins.ValueError", traceback="…")
            case "hang":
                while True:
                    yield 3600.0
            case _:
                self._body.exit(1, self.reference)
                yield 3600.0
                raise AssertionError("it is gone")


def _child(number: int, script: Script) -> events.NewChild:
    policy = Policy(
        attempts=2,
        backoff_seconds=0.2,
        backoff_max_seconds=1.0,
        timeout_seconds=script.timeout_seconds,
        grace_seconds=0.5,
        cpus=0 if script.lane else 0.5,
    )
    parameters = JsonText(orjson.dumps(script.parameters()).decode())
    return events.NewChild(key=f"child {number}", kind=script.kind, version=1, parameters=parameters, policy=policy)


class Body:
    """One worker process. Its words reach its coordinator in their order, a moment later."""

    def __init__(self, computer: Computer, record: Record, mischief: Mischief, ear: Ear, *, parent: int, lane: bool) -> None:
        self.computer: Final = computer
        self.record: Final = record
        self.pid: Final = computer.new_pid()
        self.parent: Final = parent
        self.root: Final = Root(self.pid, computer.boot_seconds(), f"marker {self.pid}")
        self.alive = True
        self.muttering = False  # after garbage nobody listens any more
        self.blocked_until = 0.0
        self.blocker = 0
        self.pipe: Final[deque[tuple[int, str, Any]]] = deque()
        self._mischief = mischief
        self._ear = ear
        self._lane = lane
        self._plays: dict[int, Play] = {}
        self._heard_until = 0.0
        computer.processes[self.pid] = self
        self._world = computer.world

    # -- life and death

    def hello(self) -> None:
        if self.alive:
            self._send(0, "hello", None)

    def thaw(self) -> None:
        pass  # its timers go on by themselves

    def kill(self, within_seconds: float = 0.0) -> None:
        """SIGKILL; it takes a moment, now and then all the time there is; under siege, where the worst is tried, mostly."""
        longest = self._world.chance(0.8 if self.computer.besieged else 0.3)
        seconds = within_seconds if longest else self._world.between(0.0, within_seconds)
        self.computer.after(seconds * 0.98, self.die)

    def exit(self, code: int, step: int) -> None:
        """A step of a job ends the process."""
        self._go(Death(code, None, step))

    def die(self, step: int = 0) -> None:
        self._go(Death(None, 9, step or self._step_of_death()))

    def _step_of_death(self) -> int:
        return self.blocker if self.computer.monotonic() < self.blocked_until else 0

    def _go(self, death: Death) -> None:
        if not self.alive:
            return
        self.alive = False
        self.computer.processes.pop(self.pid, None)
        for play in self._plays.values():
            self._witness(play)
        self._plays.clear()
        self._world.note(self.name, f"dies: {death.exit_code=} {death.signal=}")
        self._world.after(self._world.between(0.003, 0.05), self._ear.bereaved, death)

    @property
    def name(self) -> str:
        return f"{self.computer.name}/{self.pid}"

    def testify(self) -> None:
        """At the end of the world: what is at work still."""
        for play in self._plays.values():
            self._witness(play)

    def _witness(self, play: Play) -> None:
        """Its work was from then to now: not while the machine slept, nor in the moment after, until it could be ended."""
        if play.began is None:
            return
        slept = self.computer.last_sleep
        ended = self._world.now
        if self.computer.asleep or self._world.now < self.computer.woke_at + AFTER_WAKING_SECONDS:
            ended = max(play.began, min(ended, slept))
        self.record.witnesses.append(Witness(play.claim.job, play.claim.number, play.began, ended))

    # -- what it is told

    def run(self, reference: int, run: events.Run) -> None:
        if self.alive:
            play = self._plays[reference] = Play(self, reference, run)
            play.begin()

    def cancel(self, reference: int, why: Stop | None = None) -> None:
        if self.alive and (play := self._plays.get(reference)):
            play.cancel()

    def answer(self, reference: int, answer: events.Answer) -> None:
        if self.alive and (play := self._plays.get(reference)):
            play.answer(answer)

    def ping(self) -> None:
        if self.alive:
            self.computer.at(max(self.computer.monotonic(), self.blocked_until), self._send, 0, "pong", None)

    # -- what it does

    @property
    def memory_bytes(self) -> int:
        return GREEDY_BYTES if any(play.greedy for play in self._plays.values()) else 10 << 20

    def block(self, play: Play, seconds: float) -> None:
        """A step holds up all others on the lane."""
        self.blocked_until = self.computer.monotonic() + seconds
        self.blocker = play.reference

    def held_up(self, play: Play) -> float:
        if not self._lane or play.reference == self.blocker:
            return 0.0
        return self.blocked_until - self.computer.monotonic()

    def finish(self, play: Play, ended: Ended) -> None:
        if not self.alive:
            return  # since its last words
        self._witness(play)
        del self._plays[play.reference]
        self.say(play, "ended", ended)

    def say(self, play: Play, word: str, what: Any) -> None:
        """One frame, after which it may crash."""
        if not self.alive:
            return
        if word == "line" and not self.muttering:
            self.record.lines[play.claim] = self.record.lines.get(play.claim, 0) + 1
        self._send(play.reference, word, what)
        if self._world.chance(self._mischief.crash):
            self._world.inject(Fault.WORKER_CRASHES, self.name, f"after {word}")
            self.die(play.reference)
        elif self._world.chance(self._mischief.garbage):
            self._world.inject(Fault.GARBAGE, self.name)
            self._send(0, "garbage", None)
            self.muttering = True

    def _send(self, reference: int, word: str, what: Any) -> None:
        if not self.alive:
            return
        self.pipe.append((reference, word, what))
        late = 0.0
        if self._world.chance(self._mischief.late):
            self._world.inject(Fault.WORDS_LATE, self.name, word)
            late = self._world.between(0.5, 6.0)
        self._heard_until = max(self._heard_until + 1e-6, self._world.now + 0.0005 + late)
        self._world.at(self._heard_until, self._arrive)

    def _arrive(self) -> None:
        if self.pipe:
            self._ear.said(*self.pipe.popleft())
