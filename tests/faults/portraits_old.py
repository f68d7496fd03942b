"""A job type as the last release had it."""

from __future__ import annotations

from heavyjobs import Context, Job, JobConfig


class Portrait(Job[str], kind="tests.portrait"):
    sitter: str
    colour: str = "red"
    config = JobConfig(attempts=3, backoff="20ms", grace="300ms")

    def run(self, ctx: Context) -> str:
        return f"old: {self.sitter} in {self.colour}"
