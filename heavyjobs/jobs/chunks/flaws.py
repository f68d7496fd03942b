"""Chunks that are missing or damaged, as they are told."""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

from pydantic import BaseModel

from heavyjobs.jobs.chunks.manifest import Listed
from heavyjobs.jobs.chunks.store import Flaw
from heavyjobs.jobs.trouble import ChunksUnsound, stop

NAMED_MAX: Final = 100
"""Of each sort; the rest is counted."""


class Flaws(BaseModel):
    """What was found so far.

    Attributes:
        first: where, for people.
    """

    missing_chunks: int = 0
    damaged_chunks: int = 0
    missing: list[str] = []
    damaged: list[str] = []
    first: str = ""

    def add(self, listed: Listed, flaw: Flaw) -> None:
        entry = listed.entry
        self.first = self.first or f"the chunk {entry.sha256} of line {listed.line}, for byte {entry.offset}, is {flaw}"
        if flaw == "missing":
            self.missing_chunks += 1
        else:
            self.damaged_chunks += 1
        named = self.missing if flaw == "missing" else self.damaged
        if entry.sha256 not in named and len(named) < NAMED_MAX:
            named.append(entry.sha256)

    def stop(self, *, where: str, would_do: str) -> NoReturn:
        """Say what was found.

        Raises:
            Stopped: ChunksUnsound.
        """
        kind = partial(ChunksUnsound, **self.model_dump(exclude={"first"}))
        stop(kind, self._what(), where=where, would_do=would_do)

    def _what(self) -> str:
        more = self.missing_chunks + self.damaged_chunks - 1
        if not more:
            return self.first
        return f"{self.first}; in all {self.missing_chunks:,} are missing and {self.damaged_chunks:,} damaged"
