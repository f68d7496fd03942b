"""What the next verb is asked with: mostly what makes sense where things stand, often what is stale, seldom what never was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from heavyjobs.model import Ending, JobState
from heavyjobs.testing.contract.machine.tokens import (
    KINDS,
    QUEUES,
    STRANGER,
    Claim,
    Deed,
    New,
    Wanted,
    claim_of,
    number_of,
    session_id,
)
from heavyjobs.testing.reference.tables import Job, Tables

T = TypeVar("T")

From: TypeAlias = Callable[[Tables], SearchStrategy[T]]

ENDINGS: Final = tuple(how.value for how in Ending if how is not Ending.FORFEITED)
STARTED: Final = (Ending.SUCCEEDED.value, Ending.FAILED.value)
"""Nothing ends so that has not said that it started."""

_STATUSES: Final = (None, "1", '{"done":2}')
SELDOM: Final = st.integers(0, 5).map(lambda drawn: drawn == 5)
"""One time in six; shrinks to False."""


def from_tables(draw_from: From[T]) -> SearchStrategy[T]:
    """A strategy that depends on where things stand."""

    def look(machine: Any) -> SearchStrategy[T]:
        return draw_from(machine.stage.tables)

    return st.runner().flatmap(look)


# -- one at a time


def a_session(tables: Tables) -> SearchStrategy[int]:
    """Mostly one that lives; else one that is fenced, has ended, or never was."""
    live = [number_of(session) for session in tables.sessions if tables.unfenced(session)]
    gone = [number_of(session) for session in tables.sessions if not tables.unfenced(session)]
    return _picked((live, 8), (gone, 1), ([STRANGER], 0 if live or gone else 1))


def a_holder(tables: Tables) -> SearchStrategy[int]:
    """A session that holds something, if there is one."""
    holders = dict.fromkeys(number_of(job.session) for job in tables.jobs.values() if job.session is not None)
    holding = [st.sampled_from(list(holders))] * 4 if holders else []
    return st.one_of(*holding, a_session(tables))


def a_job(tables: Tables, *likely: JobState) -> SearchStrategy[int]:
    """Mostly a job in one of the likely states, if there is one; else another, or one that never was."""
    first = [number_of(job) for job, found in tables.jobs.items() if found.record.state in likely]
    rest = [number_of(job) for job, found in tables.jobs.items() if found.record.state not in likely]
    return _picked((first, 6), (rest, 2), ([STRANGER], 1))


def a_claim(tables: Tables, session: int) -> SearchStrategy[Claim]:
    """Those that the session holds, those that others hold, those that have ended, and those that were never made."""
    mine = [claim_of(job.claim) for job in tables.held(session_id(session))]
    open_claims = [claim_of(claim) for claim, each in tables.invocations.items() if each.ended_at is None]
    ended = [claim_of(claim) for claim, each in tables.invocations.items() if each.ended_at is not None]
    unmade = [(number_of(job), found.record.claim + 1) for job, found in tables.jobs.items()]
    return _picked((mine, 12), (open_claims, 2), (ended[-8:], 4), ([*unmade[-4:], (STRANGER, 1)], 1))


def a_key(tables: Tables) -> SearchStrategy[str | None]:
    return _picked(([None], 3), (["k", "l"], 2))


def _picked(*choices: tuple[Sequence[T], int]) -> SearchStrategy[T]:
    """One of several collections, by weight, then one of what is in it; shrinks to the first."""
    weighed = [st.sampled_from(each) for each, weight in choices if each for _ in range(weight)]
    return st.one_of(weighed)


# -- several together


def news(tables: Tables, *, most: int = 3) -> SearchStrategy[list[New]]:
    """Jobs to submit: most are new, some below others, some submitted before."""

    @st.composite
    def drawn(draw: DrawFn) -> list[New]:
        known = [number_of(job) for job in tables.jobs]
        fresh = max(known, default=0) + 1
        chosen = list[New]()
        for place in range(draw(st.integers(1, most))):
            again = draw(SELDOM) and known
            number = draw(st.sampled_from(known)) if again else fresh + place
            if all(number != one.job for one in chosen):
                chosen.append(_new(draw, tables, number))
        return chosen

    return drawn()


def _new(draw: DrawFn, tables: Tables, number: int) -> New:
    above = draw(_picked(([None], 2), (list(tables.jobs.values())[-6:], 1)))
    child = None if above is None else draw(st.sampled_from([None, "x", "y"]))
    return New(
        job=number,
        kind=draw(st.sampled_from(KINDS)),
        version=draw(st.sampled_from((1, 2, 3))) if draw(SELDOM) else 1,
        queue=draw(st.sampled_from(QUEUES)) if draw(SELDOM) else QUEUES[0],
        priority=draw(st.sampled_from((0, 1, -1))),
        grains=draw(st.sampled_from((0, 0, 0, 1, 2, 5))),
        key=draw(a_key(tables)),
        parent=None if above is None else number_of(above.record.id),
        child=child,
        depth=0 if above is None else above.record.depth + 1,
        attempts=draw(st.sampled_from((1, 2, 3))),
        backoff_grains=draw(st.sampled_from((0, 2))),
        cpus=draw(st.sampled_from((1.0, 2.0, 0.5))),
        memory=draw(st.sampled_from((None, 100))),
    )


def children(tables: Tables, parent: int) -> SearchStrategy[list[New]]:
    """Children of one job; ids are always new, keys are not."""

    @st.composite
    def drawn(draw: DrawFn) -> list[New]:
        fresh = max((number_of(job) for job in tables.jobs), default=0) + 1
        above = _job(tables, parent)
        keys = draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=3))
        return [
            New(
                job=fresh + place,
                kind=draw(st.sampled_from(KINDS)),
                key=draw(a_key(tables)),
                parent=parent,
                child=key,
                depth=1 if above is None else above.record.depth + 1,
                attempts=draw(st.sampled_from((1, 2))),
                backoff_grains=0,
            )
            for place, key in enumerate(keys)
        ]

    return drawn()


def deeds(tables: Tables, session: int) -> SearchStrategy[list[Deed]]:
    """What a session has to record about up to three claims, few of them not its own."""

    @st.composite
    def drawn(draw: DrawFn) -> list[Deed]:
        claims = draw(st.lists(a_claim(tables, session), min_size=1, max_size=3, unique=True))
        return [_deed(draw, claim) for claim in claims]

    return drawn()


def _deed(draw: DrawFn, claim: Claim) -> Deed:
    end = draw(st.sampled_from((None, None, "succeeded", "raised", *ENDINGS)))
    return Deed(
        claim=claim,
        started=draw(st.booleans()) or end in STARTED,
        status=draw(st.sampled_from(_STATUSES)),
        lines=draw(st.integers(0, 2)),
        again=draw(SELDOM),
        end=end,
        retry=not draw(SELDOM),
        jitter=draw(st.integers(0, 1)),
        apart=end is not None and draw(SELDOM),
    )


@st.composite
def wanted(draw: DrawFn) -> Wanted:
    """Mostly everything; else less room, or less of CPUs and memory."""
    short = draw(st.sampled_from(("nothing", "nothing", "room", "resources", "kinds")))
    return Wanted(
        kinds=KINDS[: draw(st.integers(0, 2))] if short == "kinds" else KINDS,
        queues=QUEUES[: draw(st.integers(1, 2))] if short == "kinds" else QUEUES,
        version=draw(st.integers(1, 3)),
        room=draw(st.integers(0, 2)) if short == "room" else 100,
        deeper_room=draw(st.integers(0, 2)) if short == "room" else 0,
        cpus=draw(st.sampled_from((1.0, 2.5, 0.25))) if short == "resources" else 1000.0,
        memory=draw(st.sampled_from((250, 100, 0))) if short == "resources" else 1 << 40,
    )


def held(tables: Tables, session: int) -> SearchStrategy[list[Claim]]:
    """The claims that a session names at its tick: what it holds, or some of it, with some that it does not."""
    mine = [claim_of(job.claim) for job in tables.held(session_id(session))]
    return st.one_of(st.just(mine), st.lists(a_claim(tables, session), max_size=4, unique=True))


def due_limit(tables: Tables) -> SearchStrategy[int]:
    """How many to promote; fewer than are due only where it is plain which ones."""
    due = sorted(job.record.due_at for job in tables.jobs.values() if job.record.due_at is not None)
    plain = [limit for limit in (1, 2) if limit < len(due) and due[limit - 1] != due[limit]]
    return st.sampled_from([100, *plain])


def _job(tables: Tables, number: int) -> Job | None:
    return next((job for job in tables.jobs.values() if number_of(job.record.id) == number), None)
