"""What a watched job has to say: one stream of changes of state, statuses and log lines, each with a cursor.

A cursor says what its reader has seen, so a stream that is resumed with it loses nothing and repeats nothing, whichever client
or host resumes it. It is plain text, fit for the id of a server-sent event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Generic, Self, TypeAlias

from heavyjobs.errors import UsageError
from heavyjobs.model import JobState, LogLine, S
from heavyjobs.store.records import Brief
from heavyjobs.values import JsonText


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The job moved, or a new invocation of it began.

    Attributes:
        epoch: grows with every `retry` of a finished job.
        claim: the number of its newest invocation, as log lines name it; 0 when there was none.
    """

    state: JobState
    epoch: int
    claim: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Reported(Generic[S]):
    """The job has a new status; older ones may have been skipped, the latest never is."""

    status: S
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged(LogLine):
    """A log line, as `match` finds it under `LogLine`."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing happened for as long as was asked for; keeps a connection alive."""

    cursor: str


Update: TypeAlias = StateChanged | Reported[S] | Logged | Idle

_CURSOR: Final = re.compile(r"(\d{1,9})\.([a-z]*)\.(\d{1,18})\.(\d{1,18})\.(\d{1,18})\.([0-9a-f]*)")


@dataclass(slots=True)
class Position:
    """What a reader of a stream has seen.

    Attributes:
        epoch, state, claim: of the last `StateChanged`; no state at the start.
        log_claim, log_line: the line that comes next.
        status: fingerprint of the last `Reported` of the newest claim; empty when there was none.
    """

    epoch: int = 0
    state: str = ""
    claim: int = 0
    log_claim: int = 1
    log_line: int = 0
    status: str = ""

    @classmethod
    def read(cls, cursor: str) -> Self:
        """The position behind a cursor.

        Raises:
            UsageError: it is none of ours.
        """
        if not (found := _CURSOR.fullmatch(cursor)):
            raise UsageError(
                f"since={cursor[:80]!r} is not a cursor; pass the cursor of an update, or None for the whole story"
            )
        epoch, state, claim, log_claim, log_line, status = found.groups()
        return cls(int(epoch), state, int(claim), int(log_claim), int(log_line), status)

    @property
    def cursor(self) -> str:
        return f"{self.epoch}.{self.state}.{self.claim}.{self.log_claim}.{self.log_line}.{self.status}"

    def moves_to(self, brief: Brief) -> bool:
        """Take over where the job stands; whether that is news."""
        seen = (self.epoch, self.state, self.claim)
        self.epoch, self.state, self.claim = brief.epoch, brief.state.value, brief.claim
        return seen != (self.epoch, self.state, self.claim)

    def hears(self, status: JsonText | None) -> bool:
        """Take over the latest status; whether that is news."""
        seen = self.status
        self.status = "" if status is None else blake2b(status.encode(), digest_size=6).hexdigest()
        return self.status not in ("", seen)
