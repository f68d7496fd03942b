"""Plant a bug for as long as a block lasts: in the text of one statement, or in the place of one attribute.

A plant asserts that what it replaces is there, so that it cannot rot: once the code has changed, its test fails and asks for a
new place, instead of trying a machine on code without a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final, Literal, TypeAlias

from heavyjobs.store.postgres.talking import SQL as POSTGRES
from heavyjobs.store.sqlite.sql import SQL as SQLITE

Dialect: TypeAlias = Literal["sqlite", "postgres"]

_STATEMENTS: Final = {"sqlite": SQLITE, "postgres": POSTGRES}


@contextmanager
def planted_sql(dialect: Dialect, statement: str, old: str, new: str) -> Iterator[None]:
    """Replace a piece of a named statement, in this process only. `old` stands in it exactly once."""
    statements = _STATEMENTS[dialect]
    assert isinstance(statements, dict), "statements are read into a dictionary"
    right = statements[statement]
    text = right if isinstance(right, str) else right.decode()
    assert text.count(old) == 1, f"{dialect}: {statement} holds {old!r} {text.count(old)} times, not once; replant"
    wrong = text.replace(old, new)
    statements[statement] = wrong if isinstance(right, str) else wrong.encode()
    try:
        yield
    finally:
        statements[statement] = right


@contextmanager
def planted_attribute(place: str, wrong: object) -> Iterator[None]:
    """Put something else where `place` leads, as `heavyjobs.coordinator.silence.Silence.judge`: a module, then names in it.

    Only those who look the name up when they use it meet the plant; name the module that uses it, not the one that made it.
    """
    owner, name = _owner(place)
    assert name in vars(owner), f"{place}: it is not there any more; replant"
    right = vars(owner)[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def _owner(place: str) -> tuple[object, str]:
    """The module or class that has the attribute, and its name there."""
    *path, name = place.split(".")
    for split in range(len(path), 0, -1):
        try:
            owner: object = import_module(".".join(path[:split]))
        except ModuleNotFoundError:
            continue
        for step in path[split:]:
            owner = getattr(owner, step)
        return owner, name
    raise AssertionError(f"{place}: no such module; replant")
