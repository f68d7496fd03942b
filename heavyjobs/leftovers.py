"""Remove what jobs that have ended have left beside targets: killed workers, or hosts that never came back, cannot do so.

Guarantees: only what bears the name of a job that the database knows to have ended, by a claim that it had by then; so nothing
that a job can still use, also where that is sent again meanwhile: it would have to take the thing over first, under another
name. What jobs of another database have left in the same folder stays, and no symlink is followed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from heavyjobs.events import FIND_MAX, JOBS_OVER, FindOver, JobOver, read
from heavyjobs.model import short_id
from heavyjobs.outputs import remove
from heavyjobs.parts import GONE, Owner, owner_of
from heavyjobs.values import JsonText, visible

LOOKING_SHARE: Final = 100
"""A folder is looked into again only when so many times as long has passed as it took: it may hold a million files."""

_LOOKS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Left:
    """A thing that an invocation has left, or is at work on."""

    path: Path
    owner: Owner


class Looks:
    """Remembers when which folder may be looked into again."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now: Final = now
        self._not_before: Final[dict[Path, float]] = {}

    def found(self, folder: Path, *, but: UUID) -> list[Left]:
        """What lies there of other jobs; nothing when it was looked into just now."""
        began = self._now()
        if began < self._not_before.get(folder, began):
            return []
        found = [left for left in left_in(folder) if left.owner.job != but]
        if len(self._not_before) >= _LOOKS_MAX:
            self._not_before.clear()
        ended = self._now()
        self._not_before[folder] = ended + LOOKING_SHARE * (ended - began)
        return found


def left_in(folder: Path) -> list[Left]:
    """What lies in a folder, which may be missing or closed to us, of whichever job."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(".")]
    except OSError:
        return []
    return [Left(folder / name, owner) for name in sorted(names) if (owner := owner_of(name)) is not None]


def left_below(folder: Path) -> Iterator[Left]:
    """The same of all folders below as well; what lies in a thing that was left is part of it."""
    for parent, folders, _ in os.walk(folder):
        found = left_in(Path(parent))
        yield from found
        inside = {left.path.name for left in found}
        folders[:] = [name for name in folders if name not in inside]


def is_over(owner: Owner, over: Mapping[UUID, JobOver]) -> bool:
    """Whether nobody can use it any more; `over` are the jobs that have ended."""
    job = over.get(owner.job)
    if job is None:
        return False
    return (owner.claim is None or owner.claim <= job.claim) and (owner.epoch is None or owner.epoch <= job.epoch)


def sweep(found: Iterable[Left], over: Mapping[UUID, JobOver]) -> list[Left]:
    """Remove what is over; gives what was removed. What this process may not remove stays."""
    return [left for left in found if is_over(left.owner, over) and _remove(left.path)]


# -- how a running job finds out which have ended


def finding_over(found: Sequence[Left]) -> list[FindOver]:
    """The requests that ask for it; none when there is nothing to remove."""
    jobs = [*dict.fromkeys(left.owner.job for left in found)]
    return [FindOver(tuple(jobs[start : start + FIND_MAX])) for start in range(0, len(jobs), FIND_MAX)]


def over_in(answers: Iterable[JsonText]) -> dict[UUID, JobOver]:
    """What they were answered with."""
    return {over.job: over for answer in answers for over in read(JOBS_OVER, answer)}


def tell_swept(swept: Sequence[Left]) -> None:
    """Name in the log what was removed."""
    from loguru import logger  # only workers have it loaded

    for left in swept:
        logger.info("removed {}, which job {} has left", visible(left.path.name), short_id(left.owner.job))


def _remove(path: Path) -> bool:
    """Out of reach first, in one step, for who might take it over; then what it holds, which may take a while."""
    try:
        aside = path
        if not path.name.endswith(GONE):
            aside = path.with_name(path.name + GONE)
            remove(aside)
            path.rename(aside)
        remove(aside)
    except OSError:  # another's, or somebody else was quicker
        return False
    return not os.path.lexists(aside)
