"""A user's own module of job types; the configuration of the tests names it."""

from __future__ import annotations

from typing import Literal, Never

from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig


class Scenes(BaseModel):
    count: int
    bytes: int


class Cutting(BaseModel):
    done: int
    total: int


class Torn(BaseModel):
    frame: int


class Margins(BaseModel):
    before: float = 0.0
    after: float = 0.0


class Cut(Job[Scenes, Cutting, Torn], kind="film.cut"):
    """Cut a film into scenes.

    - by colour
    - by sound

    | wrong | told as |
    | --- | --- |
    | it is torn | `Torn` |
    """

    source: str = Field(description="The film.")
    scenes: int = Field(10, description="How many.", ge=1)
    loud: bool = False
    tags: tuple[str, ...] = ()
    codec: Literal["h264", "av1"] = "h264"
    margins: Margins | None = None
    wait_: bool = Field(False, alias="wait", description="For the light.")

    config = JobConfig(queue="films", attempts=2, backoff=0)

    def run(self, ctx: Context[Cutting, Torn]) -> Scenes:
        raise AssertionError("the tests play the coordinator")


class Play(Job[float, str], kind="film.play"):
    """Play a film, or try to."""

    status: str = ""
    result: float = 0

    config = JobConfig(attempts=1)

    def run(self, ctx: Context[str, Never]) -> float:
        print("\x1b[2Jrolling")  # noqa: T201 - it becomes the log
        ctx.report(self.status * 1_000_000)
        return float("nan") if self.result < 0 else self.result
