"""Plays the coordinator by the verbs of a store, so that a client can be tested without one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job, JobConfig
from heavyjobs.logs import encode_lines, join_lines
from heavyjobs.model import Bill, Cause, ClaimKey, Ending, JobState, Move, Session, Source, new_id
from heavyjobs.store import Store
from heavyjobs.store.records import CancelOrder, Claimed, End, LogChunk, Progress, Want
from heavyjobs.values import JsonText


class Baked(BaseModel):
    loaves: int


class Baking(BaseModel):
    degrees: int


class Burnt(BaseModel):
    smoke: str


class Bake(Job[Baked, Baking, Burnt], kind="tests.bake"):
    flour: int = 1
    config = JobConfig(attempts=2, backoff=0)

    async def run(self, ctx: AsyncContext[Baking, Burnt]) -> Baked:
        raise AssertionError("the tests play the coordinator")


class Toast(Job[Baked], kind="tests.toast"):
    slices: int = 2

    def run(self, ctx: Context) -> Baked:
        raise AssertionError("the tests play the coordinator")


WANT: Final = Want(queue="default", kind="tests.bake", version=1, line="all", room=10_000)


class Player:
    """One session that claims whatever is ready and records what a test says."""

    def __init__(self, store: Store, session: UUID) -> None:
        self._store: Final = store
        self._session: Final = session
        self._lines: Final[dict[ClaimKey, int]] = {}

    @classmethod
    async def registered(cls, store: Store, name: str = "oven") -> Player:
        session = Session(new_id(), name, "host-a", "boot", 1, time.time(), "0", {"default": 1}, {"tests.bake": 1})
        await store.register(session)
        return cls(store, session.id)

    async def claims(self) -> Sequence[Claimed]:
        """Everything that is ready."""
        return await self._store.claim(self._session, [WANT], cpus=1e9, memory_bytes=1 << 60, host="host-a")

    async def claim(self) -> ClaimKey:
        (claimed,) = await self.claims()
        return claimed.claim

    async def cancels(self, claim: ClaimKey) -> Sequence[CancelOrder]:
        """Tick until the job is to be stopped."""
        while not (orders := (await self._store.tick(self._session, [claim])).cancels):
            pass
        return orders

    async def say(self, claim: ClaimKey, *texts: str, status: str | None = None) -> None:
        """Record that it was started, with these log lines and this status."""
        await self._store.record(
            self._session, progress=[_progress(claim, status)], logs=[self._chunk(claim, texts)] if texts else [], ends=[]
        )

    async def succeed(self, *claims: ClaimKey, result: str = '{"loaves":3}', says: Sequence[str] = ()) -> None:
        await self._end(claims, Ending.SUCCEEDED, Move(JobState.SUCCEEDED), result=result, says=says)

    async def fail(self, claim: ClaimKey, *, error: str = '{"smoke":"black"}', says: Sequence[str] = ()) -> None:
        """With its typed error; not to be tried again."""
        cause = Cause(Ending.FAILED, "it burnt", "Burnt")
        await self._end([claim], Ending.FAILED, Move(JobState.DEAD), error=error, cause=cause, says=says)

    async def crash(self, claim: ClaimKey, *, again: bool, says: Sequence[str] = ()) -> None:
        cause = Cause(Ending.CRASHED, "killed by signal 11", traceback="Fatal Python error", signal=11)
        move = Move(JobState.READY if again else JobState.DEAD)
        await self._end([claim], Ending.CRASHED, move, cause=cause, says=says)

    async def obey_cancel(self, claim: ClaimKey, *, says: Sequence[str] = ()) -> None:
        await self._end([claim], Ending.CANCELLED, Move(JobState.CANCELLED), says=says)

    async def _end(
        self,
        claims: Sequence[ClaimKey],
        ending: Ending,
        move: Move,
        *,
        result: str | None = None,
        error: str | None = None,
        cause: Cause | None = None,
        says: Sequence[str] = (),
    ) -> None:
        ends = [
            End(
                progress=_progress(claim, None),
                ending=ending,
                move=move,
                result=None if result is None else JsonText(result),
                error=None if error is None else JsonText(error),
                cause=cause,
            )
            for claim in claims
        ]
        logs = [self._chunk(claim, says) for claim in claims] if says else []
        recorded = await self._store.record(self._session, progress=[], logs=logs, ends=ends)
        assert not recorded.lost

    def _chunk(self, claim: ClaimKey, texts: Sequence[str]) -> LogChunk:
        first = self._lines.get(claim, 0)
        self._lines[claim] = first + len(texts)
        lines = [line for text in texts for line in encode_lines(1_700_000_000.0, Source.STDOUT, None, text)]
        return LogChunk(claim=claim, first=first, lines=len(lines), data=join_lines(lines))


def _progress(claim: ClaimKey, status: str | None) -> Progress:
    plain = None if status is None else JsonText(status)
    return Progress(claim=claim, slot="slot 1", started_ago_seconds=0.0, status=plain, bill=Bill())
