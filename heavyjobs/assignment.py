"""What a context stands on: its way to the coordinator, what it knows of its invocation, and the failure that it may leave."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from heavyjobs import events
from heavyjobs.model import ClaimKey
from heavyjobs.values import JsonText


class Link(Protocol):
    """How a context reaches its coordinator."""

    @property
    def stop(self) -> events.Stop | None:
        """Why the job was asked to stop; None when it was not, or nobody said why."""
        ...

    def report(self, status: JsonText) -> None:
        """Send the latest status; returns at once."""
        ...

    def ask(self, request: events.Request) -> JsonText:
        """Send a request and wait for its answer.

        Raises:
            HeavyjobsError: of the kind that the coordinator refused it with.
        """
        ...

    async def ask_async(self, request: events.Request) -> JsonText: ...

    def log(self, text: str) -> None:
        """Add the output of a child program to the log."""
        ...

    def shield(self) -> AbstractContextManager[None]:
        """Hold a request to stop back until the block is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an invocation knows about itself."""

    claim: ClaimKey
    kind: str
    queue: str
    attempt: int
    attempts: int
    epoch: int
    depth: int
    checkpoint: JsonText | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What `fail` was called with: the error as JSON, its type's name, a line for people, and whether to try again."""

    error: JsonText
    type: str
    message: str
    retry: bool
