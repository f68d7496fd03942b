"""Open a database after a cut, hold it against what was promised, and work on until all has ended."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from itertools import count
from uuid import UUID

from heavyjobs.model import Ending
from heavyjobs.store.records import Claimed, End, StoreOptions
from heavyjobs.store.sqlite import SqliteStore, rows
from heavyjobs.testing.contract.harness import SUCCESS, end, new_job, new_session, take, want
from tests.faults.power.promises import Found, Promises, broken

_JOBS = "SELECT * FROM heavyjobs_jobs"
_RUNS = "SELECT * FROM heavyjobs_invocations"
_CHUNKS = "SELECT job, claim, first, lines FROM heavyjobs_logs ORDER BY job, claim, first"
_SESSIONS = "SELECT *, 0 AS running FROM heavyjobs_coordinators"
_ROUNDS_MAX = 100


async def wrong(url: str, promises: Promises, *, work_on: bool = True) -> list[str]:
    """What is wrong with a database that a cut has left; nothing when all is well."""
    async with SqliteStore(url, StoreOptions(notify=False)) as store:
        await store.migrate()
        sound, found = await store._reader.run(_read)
        problems = [f"integrity: {problem}" for problem in sound if problem != "ok"] + list(broken(promises, found))
        if work_on and not problems:
            problems = [problem async for problem in _go_on(store)]
        return problems


def _read(db: sqlite3.Connection) -> tuple[Sequence[str], Found]:
    sound = [problem for [problem] in db.execute("PRAGMA integrity_check")]
    jobs = db.execute(_JOBS).fetchall()
    chunks = defaultdict[object, list[tuple[int, int]]](list)
    for row in db.execute(_CHUNKS):
        chunks[rows.claim_key(row)].append((row["first"], row["lines"]))
    found = Found(
        jobs={UUID(bytes=row["id"]): rows.job_record(row) for row in jobs},
        invocations={rows.claim_key(row): rows.invocation_record(row) for row in db.execute(_RUNS)},
        sessions={UUID(bytes=row["session"]): rows.coordinator_record(row) for row in db.execute(_SESSIONS)},
        chunks=chunks,  # type: ignore[arg-type]
        checkpoints={UUID(bytes=row["id"]): row["checkpoint"] for row in jobs if row["checkpoint"] is not None},
    )
    return sound, found


async def _go_on(store: SqliteStore) -> AsyncIterator[str]:
    """As the next coordinator would: take back what silent sessions held, and bring every job to an end."""
    session = new_session("afterwards")
    await store.register(session)
    await store.submit([new_job()])
    for other in (await store.tick(session.id, [])).others:
        await store.forfeit(session.id, session=other.id, tick=other.tick, jitter=0.5)
    for number in count():
        moved, due_in = await store.promote(limit=1000)
        claimed = await take(store, session.id, want(room=1000))
        recorded = await store.record(session.id, progress=[], logs=[], ends=[_success(one) for one in claimed])
        if recorded.lost:
            yield f"claimed after the cut, and lost at once: {recorded.lost}"
        if not claimed and not moved and due_in is None:
            break
        if number > _ROUNDS_MAX:
            yield "there is no end to what is to be done after the cut"
            break
    _, found = await store._reader.run(_read)
    for left in [job for job in found.jobs.values() if not job.state.ended]:
        yield f"still {left.state} after all was done: {left.id}"
    for problem in broken(Promises(), found):
        yield f"after going on: {problem}"


def _success(claimed: Claimed) -> End:
    return end(claimed.claim, SUCCESS, Ending.SUCCEEDED, result="{}")
