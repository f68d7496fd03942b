"""A job with everything that a class may say of itself, and one with the least."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from typing_extensions import override

from heavyjobs import AsyncContext, Context, Job, JobConfig


class Made(BaseModel):
    frames: int


class Making(BaseModel):
    done: int


class Torn(BaseModel):
    scene: str


class Film(Job[Made, Making, Torn], kind="test_job.film", version=3):
    """Today's parameters; version 1 counted in minutes, and version 2 called its scenes parts."""

    title: str
    seconds: int = 60
    scenes: tuple[str, ...] = ()
    config = JobConfig(queue="films", attempts=5)

    def run(self, ctx: Context[Making, Torn]) -> Made:
        return Made(frames=self.seconds * 24)

    @override
    def configure(self) -> JobConfig:
        return JobConfig(queue="films", timeout=self.seconds * 10, memory="2GiB") if self.seconds > 60 else self.config

    @classmethod
    @override
    def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        if version < 2 and "minutes" in data:
            data["seconds"] = data.pop("minutes") * 60
        if version < 3 and "parts" in data:
            data["scenes"] = data.pop("parts")
        return data


class Clip(Job[None], kind="test_job.clip"):
    """The least that a job can be."""

    async def run(self, ctx: AsyncContext) -> None: ...
