"""The state machine: coordinators, clients and a clock take turns, in any order and with anything that is stale or repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.strategies import DrawFn

from heavyjobs.model import JobState
from heavyjobs.store.protocol import Store
from heavyjobs.testing.contract.machine import draws
from heavyjobs.testing.contract.machine.draws import Draw
from heavyjobs.testing.contract.machine.play import Play
from heavyjobs.testing.contract.machine.stage import Backstage, Stage
from heavyjobs.testing.contract.machine.tokens import KINDS, QUEUES
from heavyjobs.testing.reference.tables import Tables

SESSIONS: Final = 3
"""How many there are at first; a few more may come."""

Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One call of a `Play`; written as that."""

    verb: Callable[..., None]
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        odd = (f"{name}={value!r}" for name, value in self.arguments.items() if value not in (None, False, [], ()))
        return f"{self.verb.__name__}({', '.join(odd)})"

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        printer.text(repr(self))


@st.composite
def a_step(draw: DrawFn) -> Step:
    """What happens next: each verb by its weight, with what it is asked drawn from where things stand."""
    machine: StoreMachine = draw(st.runner())
    tables = machine.stage.tables
    verb, arguments = draws.one_of(draw, _weighed(tables))
    return Step(verb, arguments(draw, tables))


class StoreMachine(RuleBasedStateMachine):
    """One history."""

    def __init__(self, runner: asyncio.Runner, stores: Sequence[Store], backstage: Backstage) -> None:
        super().__init__()
        self.stage: Final = Stage(runner, stores, backstage)
        self._play: Final = Play(self.stage)
        self._sound = True

    @initialize()
    def sessions_open(self) -> None:
        for session in range(1, SESSIONS + 1):
            self.then(Step(Play.register, {"session": session}))

    @rule(step=a_step())
    def then(self, step: Step) -> None:
        sound, self._sound = self._sound, False
        step.verb(self._play, **step.arguments)
        self._sound = sound

    def teardown(self) -> None:
        if self._sound:
            self.stage.look_at_all()


# -- what each verb is asked with


def _register(draw: Draw, tables: Tables) -> Arguments:
    fresh = len(tables.sessions) + 1
    return {"session": draws.one_of(draw, (fresh, *range(1, fresh))), "kinds": draws.one_of(draw, (1, 2))}


def _tick(draw: Draw, tables: Tables) -> Arguments:
    session = draws.a_holder(draw, tables)
    return {"session": session, "held": draws.held(draw, tables, session)}


def _forfeit(draw: Draw, tables: Tables) -> Arguments:
    return {
        "observer": draws.a_session(draw, tables),
        "session": draws.a_holder(draw, tables),
        "stale": draws.one_of(draw, (0, 0, 0, 1, -1)),
        "jitter": draws.one_of(draw, (0, 1)),
        "twice": draws.seldom(draw),
    }


def _end_session(draw: Draw, tables: Tables) -> Arguments:
    return {"session": draws.a_holder(draw, tables)}


def _drain(draw: Draw, tables: Tables) -> Arguments:
    return {"sessions": [draws.a_session(draw, tables)], "twice": draws.seldom(draw)}


def _submit(draw: Draw, tables: Tables) -> Arguments:
    return {"jobs": draws.news(draw, tables), "twice": draws.seldom(draw)}


def _promote(draw: Draw, tables: Tables) -> Arguments:
    return {"limit": draws.due_limit(draw, tables)}


def _claim(draw: Draw, tables: Tables) -> Arguments:
    return {"session": draws.a_session(draw, tables), "wanted": draws.wanted(draw), "twice": draws.seldom(draw)}


def _begin(draw: Draw, tables: Tables) -> Arguments:
    return {
        "session": draws.a_session(draw, tables),
        "jobs": draws.news(draw, tables, least=0, most=2),
        "unstarted": draws.seldom(draw),
    }


def _record(draw: Draw, tables: Tables) -> Arguments:
    session = draws.a_holder(draw, tables)
    return {"session": session, "deeds": draws.deeds(draw, tables, session), "twice": draws.seldom(draw)}


def _checkpoint(draw: Draw, tables: Tables) -> Arguments:
    return {**_holds(draw, tables), "data": draws.one_of(draw, "12")}


def _holds(draw: Draw, tables: Tables) -> Arguments:
    session = draws.a_holder(draw, tables)
    return {"session": session, "claim": draws.a_stale_claim(draw, tables, session)}


def _spawn(draw: Draw, tables: Tables) -> Arguments:
    session = draws.a_holder(draw, tables)
    claim = draws.a_parent(draw, tables, session)
    children = draws.children(draw, tables, claim[0])
    return {"session": session, "claim": claim, "children": children, "twice": draws.seldom(draw)}


def _rear(draw: Draw, tables: Tables) -> Arguments:
    asked = dict(_spawn(draw, tables))
    asked.pop("twice")
    return asked


def _cancel_children(draw: Draw, tables: Tables) -> Arguments:
    session = draws.a_holder(draw, tables)
    claim = draws.a_stale_claim(draw, tables, session)
    jobs = [draws.a_child(draw, tables, claim[0]) for _ in range(draws.one_of(draw, (1, 1, 2)))]
    return {"session": session, "claim": claim, "jobs": jobs, "twice": draws.seldom(draw)}


def _cancel(draw: Draw, tables: Tables) -> Arguments:
    jobs = [draws.a_root(draw, tables) for _ in range(draws.one_of(draw, (1, 1, 2)))]
    return {"jobs": jobs, "grace": draws.one_of(draw, (None, 1, 2)), "twice": draws.seldom(draw)}


def _retry(draw: Draw, tables: Tables) -> Arguments:
    job = draws.a_job(draw, tables, *draws.FALLEN)
    return {"job": job, "fresh": draws.one_of(draw, (False, True)), "twice": draws.seldom(draw)}


def _update(draw: Draw, tables: Tables) -> Arguments:
    return {
        "job": draws.a_job(draw, tables, *draws.WAITING),
        "queue": draws.one_of(draw, (None, None, *QUEUES)),
        "priority": draws.one_of(draw, (None, 2)),
        "attempts": draws.one_of(draw, (None, 1)),
        "grains": draws.one_of(draw, (None, None, 0, 1, 5)),
    }


def _pass_time(draw: Draw, _tables: Tables) -> Arguments:
    return {"grains": draws.one_of(draw, (1, 2, 5))}


def _look(draw: Draw, tables: Tables) -> Arguments:
    return {
        "states": draws.one_of(draw, ((), *((state,) for state in JobState), draws.FALLEN)),
        "kinds": draws.one_of(draw, ((), KINDS[:1])),
        "queues": draws.one_of(draw, ((), QUEUES[:1])),
        "parent": draws.one_of(draw, (None, draws.a_root(draw, tables))),
        "before": draws.one_of(draw, (None, draws.a_job(draw, tables))),
        "limit": draws.one_of(draw, (100, 2, 0)),
    }


Asked: TypeAlias = tuple[Callable[..., None], Callable[[Draw, Tables], Arguments]]

HELD: Final[Sequence[tuple[int, Asked]]] = (
    (16, (Play.record, _record)),
    (6, (Play.spawn, _spawn)),
    (6, (Play.rear, _rear)),
    (4, (Play.cancel_children, _cancel_children)),
    (4, (Play.tick, _tick)),
    (6, (Play.checkpoint, _checkpoint)),
    (5, (Play.forfeit, _forfeit)),
    (1, (Play.end_session, _end_session)),
)
"""How often verbs come about what is held, in the words of the others; so often only while something is."""

ALWAYS: Final[Sequence[tuple[int, Asked]]] = (
    (6, (Play.begin, _begin)),
    (5, (Play.claim, _claim)),
    (4, (Play.submit, _submit)),
    (4, (Play.cancel, _cancel)),
    (4, (Play.retry, _retry)),
    (3, (Play.pass_time, _pass_time)),
    (5, (Play.promote, _promote)),
    (3, (Play.update, _update)),
    (1, (Play.forfeit, _forfeit)),
    (1, (Play.record, _record)),
    (1, (Play.spawn, _spawn)),
    (1, (Play.tick, _tick)),
    (1, (Play.holds, _holds)),
    (1, (Play.register, _register)),
    (1, (Play.drain, _drain)),
    (1, (Play.end_session, _end_session)),
    (1, (Play.look, _look)),
)

FEW_SESSIONS: Final[Sequence[tuple[int, Asked]]] = ((15, (Play.register, _register)),)


def _weighed(tables: Tables) -> Sequence[Asked]:
    held = any(job.session is not None for job in tables.jobs.values())
    few = sum(tables.unfenced(session) for session in tables.sessions) < SESSIONS - 1
    return _table(held=held, few=few)


@cache
def _table(*, held: bool, few: bool) -> Sequence[Asked]:
    possible = [*(HELD if held else ()), *ALWAYS, *(FEW_SESSIONS if few else ())]
    return [asked for weight, asked in possible for _ in range(weight)]
