"""The state machine: coordinators, clients and a clock take turns, in any order and with anything that is stale or repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.strategies import DrawFn, SearchStrategy

from heavyjobs.model import JobState
from heavyjobs.store.protocol import Store
from heavyjobs.testing.contract.machine import draws
from heavyjobs.testing.contract.machine.play import Play
from heavyjobs.testing.contract.machine.stage import Backstage, Stage
from heavyjobs.testing.contract.machine.tokens import KINDS, QUEUES
from heavyjobs.testing.reference.tables import Tables

SESSIONS: Final = 3
"""How many there are at first; a few more may come."""

Arguments: TypeAlias = Mapping[str, SearchStrategy[Any]]


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
    verb, arguments = draw(st.sampled_from(_weighed(tables)))
    return Step(verb, {name: draw(strategy) for name, strategy in arguments(draw, tables).items()})


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

_TWICE: Final = draws.SELDOM


def _register(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"session": st.integers(1, min(SESSIONS + 3, len(tables.sessions) + 1)), "kinds": st.sampled_from((1, 2))}


def _tick(draw: DrawFn, tables: Tables) -> Arguments:
    session = draw(draws.a_holder(tables))
    return {"session": st.just(session), "held": draws.held(tables, session)}


def _forfeit(_draw: DrawFn, tables: Tables) -> Arguments:
    return {
        "observer": draws.a_session(tables),
        "session": draws.a_holder(tables),
        "stale": st.sampled_from((0, 0, 0, 1, -1)),
        "jitter": st.integers(0, 1),
        "twice": _TWICE,
    }


def _end_session(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"session": draws.a_session(tables)}


def _drain(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"sessions": st.lists(draws.a_session(tables), max_size=2, unique=True), "twice": _TWICE}


def _submit(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"jobs": draws.news(tables), "twice": _TWICE}


def _promote(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"limit": draws.due_limit(tables)}


def _claim(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"session": draws.a_session(tables), "wanted": draws.wanted(), "twice": _TWICE}


def _begin(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"session": draws.a_session(tables), "jobs": draws.news(tables, most=2)}


def _record(draw: DrawFn, tables: Tables) -> Arguments:
    session = draw(draws.a_holder(tables))
    return {"session": st.just(session), "deeds": draws.deeds(tables, session), "twice": _TWICE}


def _checkpoint(draw: DrawFn, tables: Tables) -> Arguments:
    return {**_holds(draw, tables), "data": st.sampled_from(("1", "2"))}


def _holds(draw: DrawFn, tables: Tables) -> Arguments:
    session = draw(draws.a_holder(tables))
    return {"session": st.just(session), "claim": draws.a_claim(tables, session)}


def _spawn(draw: DrawFn, tables: Tables) -> Arguments:
    session = draw(draws.a_holder(tables))
    claim = draw(draws.a_claim(tables, session))
    return {
        "session": st.just(session),
        "claim": st.just(claim),
        "children": draws.children(tables, claim[0]),
        "twice": _TWICE,
    }


def _cancel(_draw: DrawFn, tables: Tables) -> Arguments:
    some = draws.a_job(tables, JobState.RUNNING, JobState.READY, JobState.SCHEDULED)
    return {
        "jobs": st.lists(some, min_size=1, max_size=2),
        "grace": st.sampled_from((None, 1, 2)),
        "twice": _TWICE,
    }


def _retry(_draw: DrawFn, tables: Tables) -> Arguments:
    return {"job": draws.a_job(tables, JobState.DEAD, JobState.CANCELLED), "fresh": st.booleans(), "twice": _TWICE}


def _update(_draw: DrawFn, tables: Tables) -> Arguments:
    return {
        "job": draws.a_job(tables, JobState.SCHEDULED, JobState.READY),
        "queue": st.sampled_from((None, None, *QUEUES)),
        "priority": st.sampled_from((None, 2)),
        "attempts": st.sampled_from((None, 1)),
        "grains": st.sampled_from((None, None, 0, 1, 5)),
    }


def _pass_time(_draw: DrawFn, _tables: Tables) -> Arguments:
    return {"grains": st.sampled_from((1, 2, 5))}


def _look(_draw: DrawFn, tables: Tables) -> Arguments:
    return {
        "states": st.lists(st.sampled_from(JobState), max_size=2, unique=True),
        "kinds": st.lists(st.sampled_from(KINDS), max_size=1),
        "queues": st.lists(st.sampled_from(QUEUES), max_size=1),
        "parent": st.one_of(st.none(), draws.a_job(tables, JobState.RUNNING)),
        "before": st.one_of(st.none(), draws.a_job(tables)),
        "limit": st.sampled_from((100, 2, 0)),
    }


Asked: TypeAlias = tuple[Callable[..., None], Callable[[DrawFn, Tables], Arguments]]

ALWAYS: Final[Sequence[tuple[int, Asked]]] = (
    (3, (Play.begin, _begin)),
    (3, (Play.submit, _submit)),
    (3, (Play.claim, _claim)),
    (2, (Play.promote, _promote)),
    (2, (Play.cancel, _cancel)),
    (2, (Play.update, _update)),
    (2, (Play.retry, _retry)),
    (2, (Play.pass_time, _pass_time)),
    (2, (Play.forfeit, _forfeit)),
    (1, (Play.register, _register)),
    (1, (Play.drain, _drain)),
    (1, (Play.end_session, _end_session)),
    (1, (Play.look, _look)),
)
"""How often each verb comes, in the words of the others."""

ONCE_CLAIMED: Final[Sequence[tuple[int, Asked]]] = (
    (9, (Play.record, _record)),
    (4, (Play.spawn, _spawn)),
    (2, (Play.tick, _tick)),
    (1, (Play.checkpoint, _checkpoint)),
    (1, (Play.holds, _holds)),
)
"""The same, of those that need a claim."""


def _weighed(tables: Tables) -> list[Asked]:
    possible = [*ALWAYS, *ONCE_CLAIMED] if tables.invocations else ALWAYS
    return [asked for weight, asked in possible for _ in range(weight)]
