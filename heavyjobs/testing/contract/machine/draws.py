"""What the next verb is asked with: mostly what makes sense where things stand, often what is stale, seldom what never was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product
from typing import Any, Final, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

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
    job_id,
    number_of,
    session_id,
)
from heavyjobs.testing.reference.tables import Job, Tables

T = TypeVar("T")

Draw: TypeAlias = Callable[[SearchStrategy[Any]], Any]

WAITING: Final = (JobState.READY, JobState.SCHEDULED)
FALLEN: Final = (JobState.DEAD, JobState.CANCELLED)

_NAMES: Final = st.sampled_from(list(product((0, 1, -1), (1.0, 2.0, 0.5), (None, 100), (2, 1, 3), (2, 0))))
"""Priority, CPUs, memory, attempts and backoff of a job."""

_LIKELY: Final = (None, None, None, None, None, None, "succeeded", "succeeded", "raised", "raised", "handed_back")
_ENDS: Final = st.sampled_from((*_LIKELY, *(how for how in Ending if how is not Ending.FORFEITED)))
_STARTED: Final = (Ending.SUCCEEDED, Ending.FAILED)
"""Nothing ends so that has not said that it started."""

_DEEDS: Final = st.sampled_from(list(product((False, True), (None, "1", '{"done":2}'), (0, 1, 2), (False, True))))
"""Of a deed: whether it started, its status, how many lines, and whether those before are sent again."""


@cache
def _below(number: int) -> SearchStrategy[int]:
    return st.integers(0, number - 1)


def _number(draw: Draw, below: int) -> int:
    return int(draw(_below(below)))


def one_of(draw: Draw, values: Sequence[T]) -> T:
    """Any of them; shrinks to the first."""
    return values[_number(draw, len(values))]


def seldom(draw: Draw) -> bool:
    """One time in six."""
    return bool(_number(draw, 6) == 5)


def _some(draw: Draw, *choices: tuple[int, Sequence[T]]) -> T:
    """One of several collections, by weight, then one of what is in it."""
    possible = [(weight, values) for weight, values in choices if values]
    place = _number(draw, sum(weight for weight, _ in possible))
    for weight, values in possible:
        place -= weight
        if place < 0:
            return one_of(draw, values)
    raise AssertionError("the weights are those of the choices")


# -- one at a time


def a_session(draw: Draw, tables: Tables) -> int:
    """Mostly one that lives; else one that is fenced, has ended, or never was."""
    live = [number_of(session) for session in tables.sessions if tables.unfenced(session)]
    gone = [number_of(session) for session in tables.sessions if not tables.unfenced(session)]
    return _some(draw, (6, live), (1, gone), (1, [*gone, STRANGER]))


def a_holder(draw: Draw, tables: Tables) -> int:
    """Mostly a session that holds something, if there is one."""
    holders = dict.fromkeys(number_of(job.session) for job in tables.jobs.values() if job.session is not None)
    return one_of(draw, list(holders)) if holders and _number(draw, 4) else a_session(draw, tables)


def a_job(draw: Draw, tables: Tables, *likely: JobState) -> int:
    """Mostly a job in one of the likely states, if there is one; else another, or one that never was."""
    first = [number_of(job) for job, found in tables.jobs.items() if found.record.state in likely]
    rest = [number_of(job) for job, found in tables.jobs.items() if found.record.state not in likely]
    return _some(draw, (12, first), (2, rest), (1, [STRANGER]))


def a_root(draw: Draw, tables: Tables) -> int:
    """A live job, the likelier the more there is below it, above all below one that has ended."""
    weights = Counter(job for job, found in tables.jobs.items() if found.live)
    for below in [found for found in tables.jobs.values() if found.live]:
        beyond = False
        for above in _ancestors(tables, below):
            weights[above.record.id] += 10 if beyond and above.live else 2 * above.live
            beyond = beyond or not above.live
    weighed = [number_of(job) for job, weight in weights.items() for _ in range(weight)]
    return a_job(draw, tables) if not weighed or seldom(draw) else one_of(draw, weighed)


def a_child(draw: Draw, tables: Tables, parent: int) -> int:
    """Mostly a child of that job, if it has any; else any job."""
    children = [number_of(job.record.id) for job in tables.jobs.values() if job.record.parent == job_id(parent)]
    return a_job(draw, tables) if not children or seldom(draw) else one_of(draw, children)


def a_claim(draw: Draw, tables: Tables, session: int) -> Claim:
    """What the session holds; what has ended, above all of jobs that run again; what others hold; what was never made."""
    mine, older, others, ended, unmade = _claims(tables, session)
    return _some(draw, (18, mine), (3, older), (1, others), (2, ended), (1, unmade))


def a_stale_claim(draw: Draw, tables: Tables, session: int) -> Claim:
    """The same, half of them not held."""
    mine, older, others, ended, unmade = _claims(tables, session)
    return _some(draw, (6, mine), (8, older), (1, others), (1, ended), (1, unmade))


def a_parent(draw: Draw, tables: Tables, session: int) -> Claim:
    """A claim to spawn under, above all of jobs that are deep in their family, or that have children that fell."""
    held = tables.held(session_id(session))
    bereft = {job.record.parent for job in tables.jobs.values() if job.record.state in FALLEN}
    deep = [claim_of(job.claim) for job in held if job.record.depth == max(one.record.depth for one in held)]
    mourning = [claim_of(job.claim) for job in held if job.record.id in bereft]
    return _some(draw, (3, mourning), (3, deep), (2, [a_stale_claim(draw, tables, session)]))


def a_key(draw: Draw) -> str | None:
    return one_of(draw, (None, None, None, "k", "l"))


def _claims(tables: Tables, session: int) -> tuple[list[Claim], list[Claim], list[Claim], list[Claim], list[Claim]]:
    """Held by the session; ended, of jobs that it holds; held by others; ended; never made."""
    held = tables.held(session_id(session))
    mine = [claim_of(job.claim) for job in held]
    older = [(number, claim) for number, newest in mine for claim in range(1, newest)]
    others = [claim_of(job.claim) for job in tables.jobs.values() if job.session is not None and job not in held]
    ended = [claim_of(claim) for claim, each in tables.invocations.items() if each.ended_at is not None]
    unmade = [(number_of(job), found.record.claim + 1) for job, found in tables.jobs.items()]
    return mine, older, others, ended[-8:], [*unmade[-4:], (STRANGER, 1)]


def _ancestors(tables: Tables, job: Job) -> Iterable[Job]:
    """Those of them that are there, from the parent up."""
    above = tables.jobs.get(job.record.parent) if job.record.parent else None
    while above is not None:
        yield above
        above = tables.jobs.get(above.record.parent) if above.record.parent else None


# -- several together


def news(draw: Draw, tables: Tables, *, least: int = 1, most: int = 3) -> list[New]:
    """Jobs to submit: most are new, some below others, some submitted before."""
    known = [number_of(job) for job in tables.jobs]
    fresh = max(known, default=0) + 1
    chosen: dict[int, New] = {}
    for place in range(least + _number(draw, most - least + 1)):
        number = one_of(draw, known) if known and seldom(draw) else fresh + place
        chosen.setdefault(number, _new(draw, tables, number))
    return _told_apart(chosen.values())


def _new(draw: Draw, tables: Tables, number: int) -> New:
    above = one_of(draw, list(tables.jobs.values())[-6:]) if tables.jobs and _number(draw, 3) == 2 else None
    priority, cpus, memory, attempts, backoff = draw(_NAMES)
    return New(
        job=number,
        kind=one_of(draw, KINDS),
        version=one_of(draw, (1, 1, 2, 3)),
        queue=one_of(draw, QUEUES) if seldom(draw) else QUEUES[0],
        priority=priority,
        grains=one_of(draw, (0, 0, 0, 0, 1, 2, 5)),
        key=a_key(draw),
        parent=None if above is None else number_of(above.record.id),
        child=None if above is None else one_of(draw, (None, "x", "y")),
        depth=0 if above is None else above.record.depth + 1,
        attempts=attempts,
        backoff_grains=backoff,
        cpus=cpus,
        memory=memory,
    )


def children(draw: Draw, tables: Tables, parent: int) -> list[New]:
    """Children of one job; ids are always new, keys are not, least of all those of children that fell."""
    fallen = [
        job.record.child_key
        for job in tables.jobs.values()
        if job.record.parent == job_id(parent) and job.record.child_key and not job.live
    ]
    fresh = max((number_of(job) for job in tables.jobs), default=0) + 1
    depth = next((job.record.depth for job in tables.jobs.values() if number_of(job.record.id) == parent), 0) + 1
    jobs = [
        New(
            job=fresh + place,
            kind=one_of(draw, KINDS),
            key=a_key(draw),
            parent=parent,
            child=one_of(draw, [*fallen, *"xyz"]),
            depth=depth,
            attempts=one_of(draw, (1, 1, 2)),
            backoff_grains=0,
        )
        for place in range(1 + _number(draw, 3))
    ]
    return _told_apart(jobs)


def _told_apart(jobs: Iterable[New]) -> list[New]:
    """The jobs, no child named twice: in one call, a store may see which of them has a key before or after the other's."""
    named = dict[object, New]()
    for job in jobs:
        named.setdefault(job.job if job.child is None else (job.parent, job.child), job)
    return list(named.values())


def deeds(draw: Draw, tables: Tables, session: int) -> list[Deed]:
    """What a session has to record about up to three claims, few of them not its own."""
    claims = [a_claim(draw, tables, session) for _ in range(1 + _number(draw, 3))]
    parents = {number_of(job.record.parent) for job in tables.jobs.values() if job.live and job.record.parent}
    return [_deed(draw, claim, parent=claim[0] in parents) for claim in dict.fromkeys(claims)]


def _deed(draw: Draw, claim: Claim, *, parent: bool) -> Deed:
    """Success of a parent leaves children that run on by themselves: a third of the time."""
    end, (started, status, lines, again) = draw(_ENDS), draw(_DEEDS)
    if parent and _number(draw, 3) == 2:
        end = Ending.SUCCEEDED
    return Deed(
        claim=claim,
        started=started or end in _STARTED,
        status=status,
        lines=lines,
        again=again,
        end=None if end is None else str(end),
        retry=end is None or not seldom(draw),
        jitter=_number(draw, 2),
        apart=end is not None and seldom(draw),
    )


def wanted(draw: Draw) -> Wanted:
    """Mostly everything; else few kinds, less room, or less of CPUs and memory."""
    match one_of(draw, ("nothing", "nothing", "nothing", "version", "kinds", "room", "resources")):
        case "version":
            return Wanted(version=1 + _number(draw, 3))
        case "kinds":
            return Wanted(kinds=KINDS[: _number(draw, 3)], queues=QUEUES[: 1 + _number(draw, 2)])
        case "room":
            return Wanted(room=_number(draw, 3), deeper_room=_number(draw, 3))
        case "resources":
            return Wanted(cpus=one_of(draw, (1.0, 2.5, 0.25)), memory=one_of(draw, (250, 100, 0)))
        case _:
            return Wanted()


def held(draw: Draw, tables: Tables, session: int) -> list[Claim]:
    """The claims that a session names at its tick: what it holds, or some of it, with some that it does not."""
    if _number(draw, 2):
        return list(dict.fromkeys(a_stale_claim(draw, tables, session) for _ in range(_number(draw, 4))))
    return [claim_of(job.claim) for job in tables.held(session_id(session))]


def due_limit(draw: Draw, tables: Tables) -> int:
    """How many to promote; fewer than are due only where it is plain which ones."""
    due = sorted(job.record.due_at for job in tables.jobs.values() if job.record.due_at is not None)
    plain = [limit for limit in (1, 2) if limit < len(due) and due[limit - 1] != due[limit]]
    return one_of(draw, [100, *plain])
