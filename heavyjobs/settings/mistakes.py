"""pydantic's reasons, said for people: file, variable or option, key, what is wrong, what would do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from heavyjobs.settings.secrets import without_secrets
from heavyjobs.settings.shape import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from heavyjobs.settings.sources import Found, Place


def explain(error: ValidationError, found: Found) -> Iterator[str]:
    """One line per mistake, in the order of the file's keys; a secret that could not be read was told already."""
    for problem in error.errors(include_url=False):
        place = tuple(str(part) for part in problem["loc"] if part != "[key]")
        if problem["type"] == "relation":
            place = (*place, problem["ctx"]["field"])  # pyright: ignore[reportTypedDictNotRequiredAccess]
        if place not in found.unread:
            yield found.where(place) + _reason(problem, place, hidden=place in found.hidden)


def _reason(problem: ErrorDetails, place: Place, *, hidden: bool) -> str:
    match problem["type"]:
        case "extra_forbidden":
            return f"no such key; {_instead(place)}"
        case "missing":
            return "is missing; give it a value"
        case "model_type" | "dict_type":
            keys = f"with the keys {', '.join(_keys(place))}" if _keys(place) else "of names"
            return f"{_shown(problem['input'], hidden=hidden)} does not do; it is a table {keys}"
        case "relation" | "value_error":
            given = str(problem["input"])
            shown = without_secrets(given)
            return problem["msg"].removeprefix("Value error, ").replace(given, shown).replace(repr(given), repr(shown))
        case _:
            reason = problem["msg"].removeprefix("Input should be ").partition(", unable to ")[0]
            reason = f"a number {reason}" if reason.startswith(("greater", "less")) else reason
            return f"{_shown(problem['input'], hidden=hidden)} does not do; use {reason}"


def _shown(value: object, *, hidden: bool) -> str:
    if hidden:
        return "the secret"
    text = json.dumps(_masked(value), ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _masked(value: object) -> object:
    """The value, without the secrets of the URLs in it."""
    match value:
        case str():
            return without_secrets(value)
        case dict():
            return {key: _masked(item) for key, item in cast("dict[str, object]", value).items()}
        case list():
            return [_masked(item) for item in cast("list[object]", value)]
        case _:
            return value


def _instead(place: Place) -> str:
    keys = _keys(place[:-1])
    near = difflib.get_close_matches(place[-1], keys, n=1)
    return f"did you mean {near[0]}?" if near else f"keys here: {', '.join(keys)}"


def _keys(place: Place) -> list[str]:
    """The keys that a table of the configuration may have; none where names are free, as in `queues`."""
    model: type[BaseModel] | None = Settings
    parts = iter(place)
    for part in parts:
        if model is None or part not in model.model_fields:
            return []
        annotation = model.model_fields[part].annotation
        if get_origin(annotation) is Mapping:
            if next(parts, None) is None:
                return []
            annotation = get_args(annotation)[1]
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return list(model.model_fields) if model else []
