"""Where the verbs start from, what each is called in a table of pairs, and what must hold whatever their order was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from heavyjobs.errors import ClaimLost, SessionFenced, WrongState
from heavyjobs.model import ClaimKey, JobRecord, JobState, Move, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter
from heavyjobs.testing.contract.harness import (
    DEATH,
    HAND_BACK,
    SUCCESS,
    chunk,
    end,
    job_of,
    new_job,
    news,
    record,
    register,
    take,
    want,
)

LINES: Final = 2
"""Of the log that comes with each end."""


@dataclass(slots=True)
class Start:
    """One job, which the verbs are about, and the sessions around it.

    Attributes:
        kind: of the job and no other, so that nobody claims those of an earlier start.
        holder: the session that holds, or held, the job.
        others: a session for each actor.
        parent, keeper: a running job that spawned the job, and the session that holds it; only where a verb needs one.
        ticked: the holder's tick number at the start.
    """

    kind: str
    job: UUID
    claim: ClaimKey
    holder: UUID
    others: Mapping[str, UUID]
    parent: ClaimKey | None
    keeper: UUID
    ticked: int
    seen: dict[UUID, tuple[int, JobState]]


Verb = Callable[[Store, Start, str], Awaitable[str]]
"""Does it on a store, as one of the actors; what the answer was, in a few words."""


async def begin(store: Store, state: str, *, actors: str, family: bool) -> Start:
    """A job that is `ready`, `running` (started, at its first claim), `stopping` (that, to be cancelled), `dead`, or
    `left dead` (under an earlier claim of its parent)."""
    kind = f"demo.{new_id().hex}"
    keeper, holder = await register(store, "keeper"), await register(store, "holder")
    others = {name: await register(store, name) for name in actors}
    parent = await _parent(store, keeper, kind) if family else None
    job = new_job(
        kind=kind, parent=parent.job if parent else None, child_key="child" if parent else None, depth=1 if parent else 0
    )
    if parent:
        await store.spawn(keeper, parent, [job])
    else:
        await store.submit([job])
    claim = ClaimKey(job.id, 1)
    if state != "ready":
        await take(store, holder, want(kind))
        await record(store, holder, progress=[news(claim)])
    if state == "stopping":
        await store.cancel([job.id])
    if state in {"dead", "left dead"}:
        await record(store, holder, ends=[end(claim, DEATH)])
    if state == "left dead" and parent:
        await record(store, keeper, ends=[end(parent, HAND_BACK)])
        [again] = await take(store, keeper, want(f"{kind}.parent"))
        parent = again.claim
    ticked = (await store.tick(holder, [])).number
    return Start(kind, job.id, claim, holder, others, parent, keeper, ticked, {})


async def _parent(store: Store, keeper: UUID, kind: str) -> ClaimKey:
    await store.submit([new_job(kind=f"{kind}.parent")])
    [claimed] = await take(store, keeper, want(f"{kind}.parent"))
    await record(store, keeper, progress=[news(claimed.claim)])
    return claimed.claim


# -- the verbs


async def _claim(store: Store, start: Start, me: str) -> str:
    return await _claim_as(store, start, start.others[me])


async def _claim_late(store: Store, start: Start, me: str) -> str:
    """The holder claims, whom another may be about to declare dead."""
    return await _claim_as(store, start, start.holder)


async def _claim_as(store: Store, start: Start, session: UUID) -> str:
    try:
        taken = await take(store, session, want(start.kind), want(f"{start.kind}.child"))
    except SessionFenced:
        return "fenced"
    return " ".join(f"claim {one.claim.number}" for one in taken) or "nothing"


def _ending(move: Move) -> Verb:
    async def ending(store: Store, start: Start, me: str) -> str:
        return await _end(store, start.holder, start.claim, move)

    return ending


async def _fall(store: Store, start: Start, me: str) -> str:
    assert start.parent is not None
    return await _end(store, start.keeper, start.parent, DEATH)


async def _end(store: Store, session: UUID, claim: ClaimKey, move: Move) -> str:
    lines = [chunk(claim, 0, *("line" for _ in range(LINES)))]
    try:
        recorded = await store.record(session, progress=[], logs=lines, ends=[end(claim, move)])
    except SessionFenced:
        return "fenced"
    return "lost" if claim in recorded.lost else str(recorded.ended.get(claim, "neither lost nor ended"))


async def _cancel(store: Store, start: Start, me: str) -> str:
    return (await store.cancel([start.job]))[start.job].value


async def _cancel_parent(store: Store, start: Start, me: str) -> str:
    assert start.parent is not None
    return (await store.cancel([start.parent.job]))[start.parent.job].value


async def _forfeit(store: Store, start: Start, me: str) -> str:
    taken = await store.forfeit(start.others[me], session=start.holder, tick=start.ticked, jitter=0.5)
    return "alive" if taken is None else f"took {len(taken)}"


async def _tick(store: Store, start: Start, me: str) -> str:
    try:
        tick = await store.tick(start.holder, [start.claim])
    except SessionFenced:
        return "fenced"
    return f"tick {tick.number - start.ticked}{' lost' * len(tick.lost)}{' cancel' * len(tick.cancels)}"


async def _retry(store: Store, start: Start, me: str) -> str:
    try:
        return (await store.retry(start.job)).state.value
    except WrongState:
        return "refused"


async def _spawn(store: Store, start: Start, me: str) -> str:
    """A child of the job, under its claim."""
    child = new_job(kind=f"{start.kind}.child", parent=start.job, child_key="below", depth=2 if start.parent else 1)
    try:
        [answer] = await store.spawn(start.holder, start.claim, [child])
    except ClaimLost:
        return "lost"
    return "spawned" if answer.created else "found"


async def _spawn_again(store: Store, start: Start, me: str) -> str:
    """The parent spawns the job again, under its newest claim."""
    assert start.parent is not None
    again = new_job(kind=start.kind, parent=start.parent.job, child_key="child", depth=1)
    try:
        [answer] = await store.spawn(start.keeper, start.parent, [again])
    except ClaimLost:
        return "lost"
    assert answer.id == start.job
    return "found"


async def _drop(store: Store, start: Start, me: str) -> str:
    """The parent cancels the job, its child, under its own claim."""
    assert start.parent is not None
    try:
        await store.cancel_children(start.keeper, start.parent, [start.job])
    except ClaimLost:
        return "lost"
    return "done"


VERBS: Final[Mapping[str, Verb]] = {
    "claim": _claim,
    "claim late": _claim_late,
    "finish": _ending(SUCCESS),
    "die": _ending(DEATH),
    "hand back": _ending(HAND_BACK),
    "cancel": _cancel,
    "forfeit": _forfeit,
    "tick": _tick,
    "retry": _retry,
    "fall": _fall,
    "cancel parent": _cancel_parent,
    "spawn": _spawn,
    "spawn again": _spawn_again,
    "drop": _drop,
}
OF_THE_PARENT: Final = frozenset({"fall", "cancel parent", "spawn again", "drop"})


# -- where they ended, and what must hold


async def standing(store: Store, start: Start) -> str:
    """Where the job, its parent and its child ended: state, claims, epoch where it is not the first, and a cancel asked for."""
    family = {"parent": [start.parent.job] if start.parent else [], "job": [start.job], "child": await _below(store, start)}
    words = [f"{who} {_words(await job_of(store, job))}" for who, jobs in family.items() for job in jobs]
    return ", ".join(words)


def _words(job: JobRecord) -> str:
    epoch = f" epoch {job.epoch}" if job.epoch != 1 else ""
    return f"{job.state} {job.claim}/{job.attempt}{epoch}{' cancel' if job.cancel_requested_at else ''}"


async def check(store: Store, start: Start) -> None:
    """What must hold whatever the order was."""
    fenced = {one.session.id for one in await store.coordinators(ended=True) if one.fenced_at}
    for job in [*([start.parent.job] if start.parent else []), start.job, *await _below(store, start)]:
        await _check_job(store, job, fenced)
    if start.parent and (await job_of(store, start.parent.job)).state in {JobState.DEAD, JobState.CANCELLED}:
        await _check_fallen(store, start.job)
    if (await job_of(store, start.job)).state in {JobState.DEAD, JobState.CANCELLED}:
        for child in await _below(store, start):
            await _check_fallen(store, child)


async def _check_job(store: Store, job: UUID, fenced: set[UUID]) -> None:
    row, invocations = await job_of(store, job), await store.invocations(job)
    held = [one for one in invocations if one.ended_at is None]
    assert [one.claim.number for one in invocations] == [*range(1, row.claim + 1)], "claim numbers have no gap"
    assert [one.claim.number for one in held] == ([row.claim] if row.state is JobState.RUNNING else []), "who runs, and only it"
    assert not fenced & {one.session for one in held}, "the dead hold nothing"
    assert row.cancel_requested_at is None or row.state is JobState.RUNNING
    for one in invocations:
        chunks = await store.logs(job, claim=one.claim.number, first=0)
        firsts = [sum(chunk.lines for chunk in chunks[:place]) for place in range(len(chunks) + 1)]
        assert [*(chunk.first for chunk in chunks), one.log_lines] == firsts, "log lines have no gap"


async def _check_fallen(store: Store, job: UUID) -> None:
    row = await job_of(store, job)
    sent_again = row.epoch > 1  # by somebody who knows what became of its parent
    assert row.state.ended or row.cancel_requested_at or sent_again, "a family falls whole"


async def watch(store: Store, start: Start) -> None:
    """Between two steps: a job that ended by its own word has its log, and what has ended stays so within its epoch."""
    for job, brief in (await store.briefs([start.job, *([start.parent.job] if start.parent else [])])).items():
        epoch, state = start.seen.get(job, (0, JobState.READY))
        assert (brief.epoch, brief.state) == (epoch, state) or brief.epoch > epoch or not state.ended, "an end is the end"
        start.seen[job] = brief.epoch, brief.state
        if brief.state is JobState.SUCCEEDED:
            assert brief.log_lines == LINES, "the log is there before the outcome"


async def _below(store: Store, start: Start) -> list[UUID]:
    return [one.id for one in await store.list(Filter(parent=start.job))]
