"""Name what a job makes beside its target before that appears, so that it is found again, and known for whose it is.

Guarantees: a name holds the whole id of its job, and the number of the claim that may use it: whoever holds a later one takes
it over by a rename, so that a late writer finds nothing there. A thing of an earlier claim is therefore of use to nobody once
its job has ended, whatever becomes of that job afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias
from uuid import UUID

from heavyjobs.model import ClaimKey

NAME_MAX_BYTES: Final = 255
"""Of one file name, on every file system we know."""

Sort: TypeAlias = Literal["part", "kept", "land", "split"]
"""An unfinished output; pieces of one that are finished; what comes from elsewhere; chunks that are not yet the store's."""

GONE: Final = ".gone"
"""Ends the name of what is being removed, so that nobody takes it over meanwhile."""

UPLOAD: Final = ".upload-"
"""How the names of unfinished uploads begin, where they lie beside their keys."""

_NUMBERS_MAX_BYTES: Final = 32
"""Kept free for them and for `GONE`, so that a name begins alike for every claim of a job."""

_NUMBERS: Final = re.compile(r"(\d+)(?:\.(\d+))?")
_PART: Final = re.compile(r"\.(?:.*\.)?(?:part|kept|land|split)\.([0-9a-f]{32})-(\d+)(?:\.\d+)?(?:\.gone)?", re.DOTALL)
_WORKSHOP: Final = re.compile(r"\.heavyjobs-([0-9a-f]{32})-(\d+)-[0-9a-f]+(?:\.gone)?")
_UPLOAD: Final = re.compile(r"\.upload-([0-9a-f]{32})-[0-9a-f]+(?:\.parts)?(?:\.gone)?")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may use a thing: that job, up to and with that claim, or that epoch; without either in whichever."""

    job: UUID
    claim: int | None = None
    epoch: int | None = None


def part_name(name: str, claim: ClaimKey, *, begun_by: int | None = None, sort: Sort = "part") -> str:
    """The hidden name of what belongs to the output `name`; long names are cut so that it fits.

    Without a name it belongs to the folder. It ends in the number of the claim, and after a dot the one that began it, if that
    was another.
    """
    begun = "" if begun_by in {None, claim.number} else f".{begun_by}"
    return f"{_stem(name, claim, sort)}{claim.number}{begun}"


def workshop_prefix(job: UUID) -> str:
    """How the names of a job's workshops begin; an epoch, a dash and a number in hex follow."""
    return f".heavyjobs-{job.hex}-"


def upload_name(maker: str, number: str) -> str:
    """What names an upload, where it lies in a file of its own; a maker begins with its job."""
    return f"{maker[:32]}-{number}" if re.match(r"[0-9a-f]{32}(?![0-9a-f])", maker) else number


def owner_of(name: str) -> Owner | None:
    """Whose a thing is by its name; None when it is none of ours, or nobody's in particular."""
    if found := _PART.fullmatch(name):
        return Owner(UUID(found[1]), claim=int(found[2]))
    if found := _WORKSHOP.fullmatch(name):
        return Owner(UUID(found[1]), epoch=int(found[2]))
    if found := _UPLOAD.fullmatch(name):
        return Owner(UUID(found[1]))
    return None


@dataclass(frozen=True, slots=True, order=True)
class Earlier:
    """What an earlier claim of a job has left: its number, that of the claim which began it, and where it lies."""

    number: int
    begun_by: int
    path: Path


def earlier(target: Path, claim: ClaimKey, *, sort: Sort = "part") -> list[Earlier]:
    """What lies beside a target of earlier claims of this job, oldest first."""
    if claim.number == 1:
        return []
    return sorted(_earlier(target, claim, sort))


def take_over(target: Path, claim: ClaimKey, *, sort: Sort = "part") -> Earlier | None:
    """Make the newest thing that earlier claims have left this claim's, under the name that it has now; None: there is none.

    Their claims are void, and one that still writes by name finds nothing there.
    """
    for left in reversed(earlier(target, claim, sort=sort)):
        path = target.with_name(part_name(target.name, claim, begun_by=left.begun_by, sort=sort))
        try:
            left.path.rename(path)
        except FileNotFoundError:
            continue  # swept: it ended in an earlier epoch
        return Earlier(claim.number, left.begun_by, path)
    return None


def _stem(name: str, claim: ClaimKey, sort: Sort) -> str:
    mark = f".{sort}.{claim.job.hex}-"
    room = NAME_MAX_BYTES - len(mark) - 1 - _NUMBERS_MAX_BYTES
    cut = os.fsencode(name)[:room].decode(errors="ignore")
    return f".{cut}{mark}" if cut else mark


def _earlier(target: Path, claim: ClaimKey, sort: Sort) -> Iterator[Earlier]:
    stem = _stem(target.name, claim, sort)
    with os.scandir(target.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(stem)]
    for name in names:
        numbers = _NUMBERS.fullmatch(name.removeprefix(stem))
        if numbers and int(numbers[1]) < claim.number:
            yield Earlier(int(numbers[1]), int(numbers[2] or numbers[1]), target.with_name(name))
