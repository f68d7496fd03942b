"""All that happened to a database's files, in order, with remarks of the program between: to be replayed up to any point.

A write is recorded once it has returned. A sync names how many events there were when it began: of its file, these are durable
once it has returned, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson


@dataclass(frozen=True, slots=True)
class Created:
    """A name came into the folder, for a new and empty file."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A name left the folder."""

    name: str


@dataclass(frozen=True, slots=True)
class Written:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    file: int
    before: int


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """Which names there were is durable."""

    before: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What the program asked for, or was told: see `tests.faults.power.promises`."""

    says: dict[str, Any]


Event: TypeAlias = Created | Removed | Written | Truncated | Synced | FolderSynced | Remark

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (Created, Removed, Written, Truncated, Synced, FolderSynced, Remark)
}


def save(events: Iterable[Event], path: Path) -> None:
    """One line for each event; the bytes of a write follow its line."""
    with path.open("wb") as out:
        for event in events:
            facts = asdict(event)
            data = facts.pop("data", b"")
            out.write(orjson.dumps([type(event).__name__, facts, len(data)]) + b"\n" + data)


def load(path: Path) -> Sequence[Event]:
    return list(_read(BytesIO(path.read_bytes())))


def _read(source: BytesIO) -> Iterator[Event]:
    while line := source.readline():
        kind, facts, size = orjson.loads(line)
        if kind == Written.__name__:
            facts["data"] = source.read(size)
        yield _KINDS[kind](**facts)
