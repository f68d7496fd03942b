"""What simulated jobs do: a script in the job's parameters, made by chance, played by a simulated worker."""

from __future__ import annotations

from random import Random
from typing import Any, Final, TypeAlias

import orjson

from heavyjobs.job import JobConfig
from heavyjobs.values import JsonText

Step: TypeAlias = list[Any]

KIND: Final = "sim.work"
LANE_KIND: Final = "sim.wait"
ENDS: Final = ("succeed", "fail", "fail for good", "raise", "hang", "exit")

GREEDY_BYTES: Final = 1 << 30
LIMIT_BYTES: Final = 100 << 20
TIMEOUT_SECONDS: Final = 6.0


class Script:
    """A job's script.

    Attributes:
        steps: `["work", seconds]`, `["log", lines]`, `["status"]`, `["checkpoint"]`, `["confirm"]`, `["flood"]`,
            `["spawn", scripts]`, `["await"]`, `["block", seconds]`.
        end: one of `ENDS`.
        fails: so many first attempts end otherwise than by success, as `end` says.
        deaf: it does not listen to a request to stop.
    """

    __slots__ = ("deaf", "end", "fails", "greedy", "lane", "steps")

    def __init__(
        self, steps: list[Step], *, end: str = "succeed", fails: int = 0, deaf: bool = False, greedy: bool = False, lane: bool
    ) -> None:
        self.steps = steps
        self.end = end
        self.fails = fails
        self.deaf = deaf
        self.greedy = greedy
        self.lane = lane

    @property
    def kind(self) -> str:
        return LANE_KIND if self.lane else KIND

    @property
    def timeout_seconds(self) -> float:
        return TIMEOUT_SECONDS + sum(float(step[1]) for step in self.steps if step[0] in {"work", "block"})

    def parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, parameters: JsonText) -> Script:
        return cls(**orjson.loads(parameters))

    def end_of(self, attempt: int) -> str:
        """How an attempt ends."""
        return self.end if attempt <= self.fails else "succeed"


def some_script(random: Random, *, stretch: float = 1.0, depth: int = 0) -> Script:
    """By chance: mostly short and honest, some that fail, hang, block, spawn.

    Args:
        stretch: how much longer than usual they work.
    """
    lane = random.random() < 0.25
    steps = [_some_step(random, stretch=stretch, lane=lane) for _ in range(random.randint(1, 4))]
    if depth < 2 and random.random() < (0.25 if depth == 0 else 0.15):
        children = [some_script(random, depth=depth + 1).parameters() for _ in range(random.randint(1, 3))]
        steps += [["spawn", children], ["log", 1], ["await"]]
    if random.random() < 0.3:
        steps.append(["confirm"])
    if random.random() < 0.04:
        steps.append(["flood"])
    script = Script(steps, lane=lane)
    if random.random() < 0.4:
        script.end = random.choice(ENDS[1:])
        script.fails = random.choice((1, 1, 1, 2, 5))
    script.deaf = random.random() < 0.1
    script.greedy = not lane and random.random() < 0.04
    return script


def some_long_script(random: Random) -> Script:
    """By chance: honest and long."""
    work = round(random.uniform(10.0, 35.0), 3)
    return Script([["log", 1], ["work", work], ["checkpoint"], ["log", 1]], lane=random.random() < 0.25)


def _some_step(random: Random, *, stretch: float, lane: bool) -> Step:
    chance = random.random()
    if chance < 0.5:
        return ["work", round(stretch * random.choice((0.01, 0.3, 1.5, 4.0)) * random.random(), 3)]
    if chance < 0.75:
        return ["log", random.randint(1, 4)]
    if chance < 0.85:
        return ["status"]
    if chance < 0.95:
        return ["checkpoint"]
    if lane:
        return ["block", random.choice((1.0, 4.0, 18.0))]
    return ["log", 30]


def config_of(script: Script, random: Random) -> JobConfig:
    """How such a job wants to be run."""
    return JobConfig(
        priority=random.choice((0, 0, 0, 5)),
        attempts=random.choice((1, 3, 3, 4)),
        backoff=random.choice((0.01, 0.1, 1.0)),
        backoff_max=3.0,
        timeout=script.timeout_seconds,
        grace=random.choice((0.0, 0.5, 2.0)),
        cpus=0 if script.lane else random.choice((0.5, 1.0)),
        memory=LIMIT_BYTES if script.greedy else None,
    )
