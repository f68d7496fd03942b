"""The same job type as the next release has it: a field was renamed, one was lost, one was gained."""

from __future__ import annotations

from typing import Any

from heavyjobs import Context, Job, JobConfig


class Portrait(Job[str], kind="tests.portrait", version=2):
    name: str
    frame: str = "none"
    config = JobConfig(attempts=3, backoff="20ms", grace="300ms")

    @classmethod
    def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"name": data["sitter"]} if version == 1 else data

    def run(self, ctx: Context) -> str:
        return f"new: {self.name}, frame {self.frame}"
