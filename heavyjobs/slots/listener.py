"""What an invocation hears of the worker that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from heavyjobs import events
from heavyjobs.values import JsonText


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker went: its exit code, or the signal that ended it.

    Attributes:
        step: lane only: the reference of the invocation whose step was running; 0 when none was.
        reason: why its coordinator has ended it, or given it up; None when it did not.
        blameless: the process that forks workers is gone, and all of its with it: nothing that ran here need have done that.
    """

    exit_code: int | None
    signal: int | None
    step: int = 0
    reason: str | None = None
    blameless: bool = False


class Listener(Protocol):
    """An invocation, as its worker talks to it."""

    def started(self) -> None: ...

    def status(self, status: JsonText) -> None: ...

    def line(self, line: bytes) -> None: ...

    def asked(self, asked: events.Asked) -> None: ...

    def ended(self, ended: events.Ended) -> None: ...

    def gone(self, death: Death) -> None: ...

    def blocks(self) -> None:
        """Lane only: a step of this invocation holds up the others."""
        ...
