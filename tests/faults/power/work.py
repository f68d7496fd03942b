"""Real work on a real store, with all that it asks and is told remarked: an application and a coordinator at once.

    python -m tests.faults.power.work RECORDING URL SEED STEPS [BUG]

records what SQLite does to its files meanwhile. The log's bound is small, so that it is moved into the database often.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from heavyjobs.errors import ClaimLost
from heavyjobs.model import Cause, ClaimKey, Ending, JobRecord, JobState, Policy, after, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import CancelAnswer, Claimed, NewJob, Tick
from heavyjobs.store.sqlite import SqliteStore, connecting
from heavyjobs.testing.contract.harness import chunk, end, new_job, new_session, news, take, want
from heavyjobs.values import JsonText
from tests.faults.power.promises import Fact, Told
from tests.faults.power.recording import Remark, save
from tests.faults.power.vfs import Recorder

LOG_MAX_BYTES: Final = 96 << 10
POLICY: Final = Policy(attempts=3, backoff_seconds=0.0)
ENDINGS: Final = (*[Ending.SUCCEEDED] * 5, Ending.RAISED, Ending.FAILED, Ending.CRASHED, Ending.HANDED_BACK)


async def work(url: str, told: Told, *, seed: str, steps: int) -> None:
    """A life of the application, with a coordinator that is left without a word at its end: the next life finds its claims.

    Each draws from a chance of its own: what one tries does not hang on how quickly the other goes on.
    """
    of_application, of_coordinator = (Random(f"{who} {seed}") for who in ("application", "coordinator"))  # noqa: S311
    async with SqliteStore(url) as store, SqliteStore(url) as host:
        await store.migrate()
        application = asyncio.create_task(_Application(store, told, of_application).run(steps))
        await _Coordinator(host, told, of_coordinator).run(until=application)
        await application


class _Application:
    """Submits, cancels and sends again."""

    def __init__(self, store: Store, told: Told, rng: Random) -> None:
        self._store: Final = store
        self._told: Final = told
        self._rng: Final = rng
        self._known: Final[list[UUID]] = []

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            match self._rng.randrange(10):
                case 0 | 1:
                    await self._change(self._cancel)
                case 2:
                    await self._change(self._retry)
                case 3 | 4:
                    await self._submit(self._rng.randint(2, 4))
                case _:
                    await self._submit(1)

    async def _submit(self, size: int) -> None:
        jobs = [_job(self._rng) for _ in range(size)]
        self._known.extend(job.id for job in jobs)
        await self._told.call(self._store.submit(jobs), lambda _: map(_submitted, jobs), together=[job.id for job in jobs])

    async def _change(self, how: Callable[[JobRecord], Any]) -> None:
        if self._known and (job := await self._store.get(self._rng.choice(self._known))):
            await how(job)

    async def _cancel(self, job: JobRecord) -> None:
        def facts(answers: dict[UUID, CancelAnswer]) -> Iterator[Fact]:
            match answers[job.id]:
                case CancelAnswer.CANCELLED:
                    yield "cancelled", str(job.id), job.epoch
                case CancelAnswer.REQUESTED if job.state is JobState.RUNNING:
                    yield "is to stop", str(job.id), job.claim
                case _:
                    pass

        await self._told.call(self._store.cancel([job.id]), facts)

    async def _retry(self, job: JobRecord) -> None:
        if job.state in {JobState.DEAD, JobState.CANCELLED}:
            await self._told.call(self._store.retry(job.id), lambda sent: [("sent again", str(job.id), sent.epoch)])


class _Coordinator:
    """Claims, says, keeps checkpoints, spawns, and ends what it holds."""

    def __init__(self, store: Store, told: Told, rng: Random) -> None:
        self._store: Final = store
        self._told: Final = told
        self._rng: Final = rng
        self._session: Final = new_session("power")
        self._me: Final = str(self._session.id)
        self._held: Final[dict[UUID, tuple[Claimed, int]]] = {}

    async def run(self, *, until: asyncio.Task[None]) -> None:
        await self._told.call(self._store.register(self._session), lambda _: [("registered", self._me)])
        while not until.done():
            await self._store.promote(limit=10)
            await self._claim()
            for held, lines in [*self._held.values()]:
                await self._go_on(held, lines)
            for other in (await self._tick()).others:
                await self._forfeit(other.id, other.tick)

    async def _tick(self) -> Tick:
        verb = self._store.tick(self._session.id, [held.claim for held, _ in self._held.values()])
        return await self._told.call(verb, lambda tick: [("ticked", self._me, tick.number)], durable=False)

    async def _claim(self) -> None:
        claimed = await self._told.call(
            take(self._store, self._session.id, want(room=3)),
            lambda claimed: [("claimed", str(one.claim.job), one.claim.number) for one in claimed],
        )
        for one in claimed:
            if self._rng.randrange(20):  # now and then one is forgotten, until this session is forfeited
                self._held[one.claim.job] = one, 0

    async def _go_on(self, held: Claimed, lines: int) -> None:
        match self._rng.randrange(8):
            case 0 | 1:
                await self._say(held, lines)
            case 2:
                await self._checkpoint(held)
            case 3 if held.depth < 2:
                await self._spawn(held)
            case _:
                await self._end(held, lines)

    async def _say(self, held: Claimed, lines: int) -> None:
        texts = [f"line {number} " + "." * 40 for number in range(lines, lines + self._rng.randint(1, 30))]
        said = lines + len(texts)
        logs = [chunk(held.claim, lines, *texts)]
        verb = self._store.record(self._session.id, progress=[news(held.claim, status="{}")], logs=logs, ends=[])
        facts = [("said", str(held.claim.job), held.claim.number, said)]
        recorded = await self._told.call(verb, lambda recorded: [] if recorded.lost else facts, durable=False)
        if not recorded.lost:
            self._held[held.claim.job] = held, said

    async def _checkpoint(self, held: Claimed) -> None:
        number = next(self._told.numbers)
        verb = self._store.checkpoint(self._session.id, held.claim, JsonText(str(number)))
        await self._told.call(verb, lambda _: [("keeps", str(held.claim.job), number)])

    async def _spawn(self, held: Claimed) -> None:
        children = [
            new_job(parent=held.claim.job, child_key=str(new_id()), depth=held.depth + 1, policy=POLICY) for _ in range(2)
        ]
        verb = self._store.spawn(self._session.id, held.claim, children)
        with suppress(ClaimLost):  # the job is to stop
            await self._told.call(verb, lambda _: map(_submitted, children), together=[child.id for child in children])

    async def _end(self, held: Claimed, lines: int) -> None:
        ending = self._rng.choice(ENDINGS)
        move = after(
            ending, started=True, attempt=held.attempt, unstarted=held.unstarted, policy=held.policy, jitter=self._rng.random()
        )
        cause = None if ending is Ending.SUCCEEDED else Cause(ending, "as the dice fell")
        ended = end(held.claim, move, ending, cause=cause, result="{}" if ending is Ending.SUCCEEDED else None)
        verb = self._store.record(self._session.id, progress=[], logs=[chunk(held.claim, lines, "the end")], ends=[ended])
        claim = held.claim
        await self._told.call(
            verb, lambda recorded: [("ended", str(claim.job), claim.number, ending, recorded.ended[claim], lines + 1)]
        )
        del self._held[claim.job]

    async def _forfeit(self, silent: UUID, tick: int) -> None:
        def facts(taken: Sequence[ClaimKey] | None) -> Iterator[Fact]:
            if taken is not None:
                yield "fenced", str(silent)
                yield from (("forfeited", str(claim.job), claim.number) for claim in taken)

        await self._told.call(self._store.forfeit(self._session.id, session=silent, tick=tick, jitter=0.5), facts)


def _job(rng: Random) -> NewJob:
    return new_job(
        parameters=JsonText(f'"{rng.random()}{"." * rng.choice((0, 0, 900))}"'),
        policy=POLICY,
        delay_seconds=rng.choice((0.0, 0.0, 0.005)),
        unique_key=rng.choice((None, str(new_id()))),
    )


def _submitted(job: NewJob) -> Fact:
    return "submitted", str(job.id), job.parameters


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """A store with a bug in it, for the length of the block."""
    if bug is None:
        yield
        return
    method, buggy = _BUGS[bug]
    with patch.object(connecting.Writer, method, buggy):
        yield


def _never_durable(writer: connecting.Writer, *, durable: bool) -> None:
    writer._connection.execute("PRAGMA synchronous = NORMAL")


def _never_synced(writer: connecting.Writer, *, durable: bool) -> None:
    writer._connection.execute("PRAGMA synchronous = OFF")


def _log_emptied_in_haste(writer: connecting.Writer) -> None:
    with closing(connecting.connect(writer._path)) as helper:
        helper.execute("PRAGMA synchronous = OFF")
        helper.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
    writer._connection.execute("ROLLBACK")
    writer._connection.execute("BEGIN IMMEDIATE")


_BUGS: Final[dict[str, tuple[str, Callable[..., None]]]] = {
    "never durable": ("_sync", _never_durable),
    "never synced": ("_sync", _never_synced),
    "log emptied in haste": ("_empty_log", _log_emptied_in_haste),
}


def record(recording: Path, url: str, *, seed: int, steps: int, bug: str | None = None) -> None:
    """Two lives one after the other, recorded."""
    recorder = Recorder()
    told = Told(lambda says: recorder.events.append(Remark(says)))
    with patch.object(connecting, "LOG_MAX_BYTES", LOG_MAX_BYTES), planted(bug):
        for life in range(2):
            asyncio.run(work(url, told, seed=f"{seed}, life {life}", steps=steps))
    save(recorder.events, recording)


if __name__ == "__main__":
    record(
        Path(sys.argv[1]), sys.argv[2], seed=int(sys.argv[3]), steps=int(sys.argv[4]), bug=sys.argv[5] if sys.argv[5:] else None
    )
