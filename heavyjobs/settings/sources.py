"""Where values come from: the file, the environment over it, `--database` over both, then the secrets that they name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from heavyjobs.errors import ConfigurationError
from heavyjobs.settings.secrets import refers, resolve
from heavyjobs.settings.shape import Settings

PREFIX: Final = "HEAVYJOBS_"

Place: TypeAlias = tuple[str, ...]
"""A key by its parts, `("queues", "media", "slots")`."""


@dataclass(slots=True)
class Found:
    """Values as they were found, not yet validated.

    Attributes:
        file: name of the file for messages; None without one.
        origins: what gave the value of a place, where it is not the file: `environment: NAME` or `--database`.
        hidden: places whose value is a secret, never to be shown.
        unread: those of them that could not be read, and are told in `problems`.
        problems: what is wrong already, for people.
    """

    file: str | None
    values: dict[str, Any]
    origins: dict[Place, str] = field(default_factory=dict[Place, str])
    hidden: set[Place] = field(default_factory=set[Place])
    unread: set[Place] = field(default_factory=set[Place])
    problems: list[str] = field(default_factory=list[str])

    def where(self, place: Place) -> str:
        """The start of a message about a place: variable or option, or file and dotted key."""
        for length in range(len(place), 0, -1):
            if origin := self.origins.get(place[:length]):
                rest = ".".join(place[length:])
                return f"{origin}: {rest}: " if rest else f"{origin}: "
        # What came from below a place made a table of it.
        for below, origin in self.origins.items():
            if below[: len(place)] == place:
                return f"{origin}: "
        return f"{self.file or 'configuration'}: {'.'.join(place)}: "


def gather(path: Path | None, environ: Mapping[str, str], *, database: str | None = None) -> Found:
    """Read file and environment; `database` is what was said with --database.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
    """
    found = Found(None, {}) if path is None else Found(str(path), _read(path))
    for name in sorted(environ):
        if name.upper().startswith(PREFIX):
            _overlay(found, name, environ[name])
    if database is not None:
        _put(found, ["database", "url"], database, origin="--database")
    found.values = {key: _resolved(found, (key,), value, environ) for key, value in found.values.items()}
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; name a readable file with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except ValueError:
        raise ConfigurationError(f"{path}: a number of more than 4,300 digits; write a shorter one") from None


def _overlay(found: Found, name: str, text: str) -> None:
    """Put the value of one variable in its place, when its name is that of a setting.

    Names like HEAVYJOBS_CONFIG or HEAVYJOBS_FFMPEG belong to others.
    """
    parts = name[len(PREFIX) :].lower().split("__")
    if parts[0] not in Settings.model_fields:
        if probably := _misspelt(parts):
            found.problems.append(f"environment: {name}: no such setting; {probably}")
        return
    _put(found, parts, _value(text), origin=f"environment: {name}")


def _put(found: Found, parts: list[str], value: object, *, origin: str) -> None:
    table = found.values
    place: Place = ()
    for part in parts[:-1]:
        key = _spelled(table, part)
        place = (*place, key)
        if not isinstance(table.setdefault(key, {}), dict):
            table[key] = {}  # what comes later wins, also over a value of the wrong shape
        table = table[key]
    key = _spelled(table, parts[-1])
    table[key] = value
    found.origins[(*place, key)] = origin


def _misspelt(parts: list[str]) -> str | None:
    """What a name that is no setting was meant to be; None where it does not look like one: no `__`, no `database_url`."""
    if len(parts) > 1:
        near = difflib.get_close_matches(parts[0], Settings.model_fields, n=1)
        rest = "__".join(parts[1:])
        return (
            f"did you mean {PREFIX}{near[0].upper()}__{rest.upper()}?" if near else f"known: {', '.join(Settings.model_fields)}"
        )
    section, _, key = parts[0].partition("_")
    field = Settings.model_fields.get(section)
    if field and key in getattr(field.annotation, "model_fields", {}):
        return f"did you mean {PREFIX}{section.upper()}__{key.upper()}, with two underscores?"
    return None


def _spelled(table: Mapping[str, Any], part: str) -> str:
    """The key that a part of a variable's name means: one that is there in other case or with dashes, else itself."""
    return next((key for key in table if key.lower().replace("-", "_") == part), part)


def _value(text: str) -> Any:
    """Lists and tables as TOML; all else is text, which validation turns into numbers and the like."""
    if text.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            return text
    return text


def _resolved(found: Found, place: Place, value: object, environ: Mapping[str, str]) -> object:
    match value:
        case str() if refers(value):
            found.hidden.add(place)
            try:
                return resolve(value, environ)
            except ValueError as error:
                found.unread.add(place)
                found.problems.append(f'{found.where(place)}"{value}": {error}')
                return value
        case dict():
            table = cast("dict[str, object]", value)
            return {key: _resolved(found, (*place, key), item, environ) for key, item in table.items()}
        case list():
            items = cast("list[object]", value)
            return [_resolved(found, (*place, str(number)), item, environ) for number, item in enumerate(items)]
        case _:
            return value
