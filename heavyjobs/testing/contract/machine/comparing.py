"""What two stores show, made comparable: times as ages in grains, ids as numbers, orders that mean nothing left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from math import floor
from typing import Any, Final, cast
from uuid import UUID

from heavyjobs.model import ClaimKey
from heavyjobs.store.records import Recorded, Tick
from heavyjobs.testing.contract.machine.tokens import GRAIN_SECONDS, claim_of, number_of

_SLACK_SECONDS: Final = GRAIN_SECONDS / 4
"""By so much the clocks of the database and of the machine may differ one way, and three times as much the other."""

_AS_IT_IS: Final = frozenset({str, int, float, bool, type(None)})
_UNORDERED: Final[Mapping[type, frozenset[str]]] = {
    Tick: frozenset({"lost", "cancels", "others"}),
    Recorded: frozenset({"lost"}),
}


def plain(value: Any, now: datetime) -> object:
    """A value of dictionaries, lists and words, equal for two stores that are equal."""
    if type(value) in _AS_IT_IS:
        return value
    match value:
        case datetime():
            return f"{floor(((now - value).total_seconds() + _SLACK_SECONDS) / GRAIN_SECONDS)} grains ago"
        case UUID():
            return number_of(value)
        case ClaimKey():
            return claim_of(value)
        case Enum():
            return value.value
        case _ if is_dataclass(value):
            return _fields(value, now)
        case _:
            return _collection(value, now)


def differences(found: object, right: object, path: str = "") -> Iterator[str]:
    """Where two plain values differ, one line each."""
    if isinstance(found, dict) and isinstance(right, dict):
        yield from _between_mappings(cast("Mapping[object, object]", found), cast("Mapping[object, object]", right), path)
    elif isinstance(found, list) and isinstance(right, list):
        yield from _between_lists(cast("list[object]", found), cast("list[object]", right), path)
    elif found != right:
        yield f"{path or 'the answer'} is {found!r}, and should be {right!r}"


def _between_mappings(found: Mapping[object, object], right: Mapping[object, object], path: str) -> Iterator[str]:
    for key in {**right, **found}:
        step = f".{key}" if isinstance(key, str) else f"[{key}]"
        yield from differences(found.get(key, "nothing"), right.get(key, "nothing"), path + step)


def _between_lists(found: list[object], right: list[object], path: str) -> Iterator[str]:
    if len(found) != len(right):
        yield f"{path or 'the answer'} is {found!r}, and should be {right!r}"
        return
    for place, (one, other) in enumerate(zip(found, right, strict=True)):
        yield from differences(one, other, f"{path}[{place}]")


def _fields(value: Any, now: datetime) -> dict[str, object]:
    unordered = _UNORDERED.get(cast("type[object]", type(value)), frozenset())
    return {
        each.name: _sorted(getattr(value, each.name), now) if each.name in unordered else plain(getattr(value, each.name), now)
        for each in fields(value)
    }


def _collection(value: object, now: datetime) -> object:
    if isinstance(value, Mapping):
        return {plain(key, now): plain(each, now) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, set | frozenset):
        return _sorted(cast("Iterable[object]", value), now)
    if isinstance(value, list | tuple):
        return [plain(each, now) for each in cast("Iterable[object]", value)]
    return value


def _sorted(values: Iterable[object], now: datetime) -> list[object]:
    return sorted((plain(each, now) for each in values), key=repr)
