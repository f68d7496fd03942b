"""Options of `heavyjobs submit KIND`, made from the fields of the job type.

The command line only sorts text into fields; pydantic, which knows the types, judges all of them at once.
"""

from __future__ import annotations

import datetime as dt
import json
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from heavyjobs.job import AnyJob

_METAVARS: Final[Mapping[type, str]] = {
    str: "TEXT",
    int: "INTEGER",
    float: "NUMBER",
    PurePath: "PATH",
    UUID: "UUID",
    dt.datetime: "TIME",
    dt.date: "DATE",
    dt.time: "TIME",
    dt.timedelta: "DURATION",
    Decimal: "NUMBER",
    bytes: "TEXT",
}
_MANY: Final = frozenset({list, tuple, set, frozenset, Sequence, Collection, Iterable, Set})


@dataclass(frozen=True, slots=True)
class FieldOption:
    """One field as an option.

    Attributes:
        key: the field's name in JSON.
        option: what click parses; its value is None or empty when it was not given.
        read: turns click's value into plain data.
    """

    key: str
    option: click.Option
    read: Callable[[Any], Any]


def field_options(job: type[AnyJob], *, taken: Collection[str]) -> list[FieldOption]:
    """Options for all fields, in their order; one whose name is in `taken` is called `--param-NAME`."""
    return [
        _option(field.alias or name, f"field_{number}", field, taken)
        for number, (name, field) in enumerate(job.model_fields.items())
    ]


def option_name(key: str, taken: Collection[str]) -> str:
    name = f"--{key.replace('_', '-')}"
    return f"--param-{name[2:]}" if name in taken else name


def values(options: Sequence[FieldOption], given: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of the options that were given."""
    found: dict[str, Any] = {}
    for option in options:
        value = given[option.option.name or ""]
        if value is not None and value != ():
            found[option.key] = option.read(value)
    return found


def _option(key: str, parameter: str, field: FieldInfo, taken: Collection[str]) -> FieldOption:
    name, kind = option_name(key, taken), _bare(field.annotation)
    about = " ".join(part for part in (field.description or "", _standing(field)) if part)
    if kind is bool:
        return FieldOption(key, click.Option([f"{name}/--no-{name[2:]}", parameter], default=None, help=about), _itself)
    if (inner := _one_of_many(kind)) is not None:
        choices = _choices(inner)
        option = _text_option(name, parameter, inner, about, multiple=True)
        return FieldOption(key, option, lambda texts: [choices.get(text, text) for text in texts])
    if _is_scalar(kind):
        choices = _choices(kind)
        return FieldOption(
            key, _text_option(name, parameter, kind, about, multiple=False), lambda text: choices.get(text, text)
        )
    option = click.Option([name, parameter], metavar="JSON", help=about)
    return FieldOption(key, option, lambda text: _from_json(name, text))


def _text_option(name: str, parameter: str, kind: Any, about: str, *, multiple: bool) -> click.Option:
    choices = _choices(kind)
    path = isinstance(kind, type) and issubclass(kind, PurePath)
    return click.Option(
        [name, parameter],
        multiple=multiple,
        metavar=f"[{'|'.join(choices)}]" if choices else _metavar(kind),
        help=f"{about} (repeat for more)".strip() if multiple else about,
        type=click.Path() if path else click.STRING,
        shell_complete=_completing(list(choices)) if choices else None,
    )


def _completing(choices: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    return lambda _context, _parameter, start: [CompletionItem(choice) for choice in choices if choice.startswith(start)]


def _itself(value: Any) -> Any:
    return value


def _from_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{name}: not JSON: {error}") from None


# -- reading annotations


def _bare(annotation: Any) -> Any:
    """The annotation without `Annotated`, `type` aliases and `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if hasattr(annotation, "__value__"):
        return _bare(annotation.__value__)
    if get_origin(annotation) in {Union, types.UnionType}:
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _members(kind: Any) -> list[Any]:
    """The alternatives of a union, or the one type."""
    if get_origin(kind) in {Union, types.UnionType}:
        return [_bare(member) for member in get_args(kind)]
    return [kind]


def _is_scalar(kind: Any) -> bool:
    """Whether one text on the command line can be a value of that type."""
    scalars = (*_METAVARS, Enum)
    return all(
        get_origin(member) is Literal or (isinstance(member, type) and issubclass(member, scalars)) for member in _members(kind)
    )


def _one_of_many(kind: Any) -> Any | None:
    """The type of the items, when the type is a collection whose items one text can be, or also one of them; else None."""
    alternatives = _members(kind)
    if len(alternatives) == 2 and _bare(alternatives[0]) in (many := [_one_of_many(one) for one in alternatives]):
        return many[1]
    if kind in _MANY:
        return str
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    if get_origin(kind) not in _MANY or len(arguments) != 1:
        return None
    item = _bare(arguments[0])
    return item if _is_scalar(item) else None


def _choices(kind: Any) -> dict[str, Any]:
    """What a `Literal` or an `Enum` allows, by how it is written."""
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {str(member.value): member.value for member in kind}
    return {}


def _metavar(kind: Any) -> str:
    member = _members(kind)[0]
    return next((name for known, name in _METAVARS.items() if isinstance(member, type) and issubclass(member, known)), "TEXT")


def _standing(field: FieldInfo) -> str:
    """Whether it must be given, or what it is when it is not."""
    if field.is_required():
        return "[required]"
    match field.default:
        case bool() as default:
            return f"[default: {'yes' if default else 'no'}]"
        case Enum() as default:
            return f"[default: {default.value}]"
        case str() | int() | float() | PurePath() as default if str(default):
            return f"[default: {default}]"
        case _:
            return ""
