"""Places of any kind, for job types: opened by their name in the parameters, read with patience, their trouble typed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from heavyjobs.errors import PathRefused
from heavyjobs.jobs.places import source_path
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import (
    AnyTrouble,
    NotInstalled,
    Refused,
    SourceChanged,
    SourceMissing,
    StorageAway,
    TargetTaken,
    TargetUnusable,
    shown,
    stop,
)
from heavyjobs.locations import Elsewhere, Locations
from heavyjobs.storage import (
    AlreadyThere,
    Broken,
    Changed,
    Denied,
    Found,
    Missing,
    NotThere,
    Source,
    StorageFailed,
    Unreachable,
    open_source,
)
from heavyjobs.storage.crew import Crew
from heavyjobs.storage.keys import below, key_fault
from heavyjobs.storage.local import LocalStorage
from heavyjobs.storage.patience import Pace, patiently

_AT_SOURCE: Final[dict[type[StorageFailed], Callable[..., AnyTrouble]]] = {
    Unreachable: StorageAway,
    NotThere: SourceMissing,
    Denied: SourceMissing,
    Changed: SourceChanged,
    Missing: NotInstalled,
}
_AT_TARGET: Final[dict[type[StorageFailed], Callable[..., AnyTrouble]]] = {
    Unreachable: StorageAway,
    Broken: StorageAway,
    AlreadyThere: TargetTaken,
    Changed: SourceChanged,  # a server that copies by itself says it of its source
    Missing: NotInstalled,
}


@dataclass(frozen=True, slots=True)
class Far:
    """A source: where it is, and its key there; `text` is how the parameters say it."""

    place: Source
    key: str
    text: str


def elsewhere(locations: Locations, text: str) -> Elsewhere | None:
    """As `Locations.elsewhere`.

    Raises:
        Stopped: Refused.
    """
    try:
        return locations.elsewhere(text)
    except PathRefused as error:
        what, _, would_do = str(error).removeprefix(f"{text}: ").rpartition("; ")
        stop(Refused, what, where=text, would_do=would_do)


@contextmanager
def far_source(locations: Locations, text: str) -> Generator[Far]:
    """A place to read from, this host's file systems included.

    Raises:
        Stopped: SourceMissing, Refused or NotInstalled.
    """
    found = elsewhere(locations, text)
    if found is None:
        place: Source = LocalStorage(Path(os.path.realpath(source_path(locations, text))))
    else:
        with at_source(text):
            place = open_source(found.url, plain=found.plain)
    with closing(place):
        yield Far(place, found.key if found else "", text)


@contextmanager
def at_source(text: str) -> Generator[None]:
    """What a place that is read from answers, as trouble."""
    try:
        yield
    except StorageFailed as failed:
        _stop(_AT_SOURCE.get(type(failed), Refused), failed, text)


@contextmanager
def at_target(text: str) -> Generator[None]:
    """What a place that is written to answers, as trouble."""
    try:
        yield
    except StorageFailed as failed:
        _stop(_AT_TARGET.get(type(failed), TargetUnusable), failed, text)


def things(far: Far) -> tuple[bool, list[tuple[str, Found]]]:
    """Whether a source is one thing, and what there is with its name: empty for that one, else in the order of the names'
    parts.

    Raises:
        Stopped: SourceMissing when there is nothing; Refused for a name that would escape.
    """
    with at_source(far.text):
        if (one := patiently(lambda: far.place.stat(far.key), pause=Crew(1).pause)) is not None:
            return True, [("", one)]
        found = patiently(lambda: list(far.place.walk(far.key)), pause=Crew(1).pause)
    if not found and not _is_folder(far):
        stop(SourceMissing, "no such object, and nothing below it", where=far.text, would_do="check the name")
    named = [(below(thing.key, far.key), thing) for thing in found]
    for name, _ in named:
        if fault := key_fault(name):
            stop(Refused, fault, where=f"{far.text}/{shown(name)}", would_do="give it another name, or copy without it")
    return False, sorted(named, key=lambda item: item[0].split("/"))


class Reader:
    """Reads things whole, by ranges, and in parallel; what a place says comes as trouble of a source."""

    def __init__(self, far: Far, *, crew: Crew, part_bytes: int, pace: Pace) -> None:
        self._far: Final = far
        self._crew: Final = crew
        self._part_bytes: Final = part_bytes
        self._pace: Final = pace

    def range(self, found: Found, start: int, count: int) -> bytes:
        """The bytes of a range; tried again while the place is away."""
        with at_source(name_in(self._far.text, below(found.key, self._far.key) if found.key != self._far.key else "")):
            return patiently(lambda: self._range(found, start, count), pause=self._crew.pause)

    def digest(self, found: Found, meter: Meter) -> str:
        """SHA-256 in hex; what is read counts on the meter."""
        ((_, digest),) = self.digests([found], meter)  # to its end: an answer that is left over stops the crew
        return digest

    def digests(self, things: Iterable[Found], meter: Meter) -> Generator[tuple[Found, str]]:
        """Each thing with its SHA-256, in order; several are read at once."""
        digest = hashlib.sha256()
        with closing(self._crew.in_order(self._ranges(things), lambda step: self.range(*step))) as answers:
            for (found, start, count), data in answers:
                digest.update(data)
                meter.add(len(data))
                if start + count == found.bytes:
                    yield found, digest.hexdigest()
                    digest = hashlib.sha256()

    def _ranges(self, things: Iterable[Found]) -> Iterator[tuple[Found, int, int]]:
        for found in things:
            for start in range(0, found.bytes or 1, self._part_bytes):
                yield found, start, min(self._part_bytes, found.bytes - start)

    def _range(self, found: Found, start: int, count: int) -> bytes:
        pieces: list[bytes] = []
        for piece in self._far.place.read(found, start=start, count=count):
            pieces.append(piece)
            self._crew.pause(owed) if (owed := self._pace.owed(len(piece))) else self._crew.check()
        return b"".join(pieces)


def name_in(text: str, name: str) -> str:
    """A thing in a place, as people would write it."""
    return f"{text}{'' if text.endswith((':', '/')) else '/'}{name}" if name else text


def _is_folder(far: Far) -> bool:
    return isinstance(far.place, LocalStorage)  # an empty folder is something; elsewhere there are none


def _stop(kind: Callable[..., AnyTrouble], failed: StorageFailed, text: str) -> NoReturn:
    stop(kind, failed.what, where=text, would_do=failed.would_do)
