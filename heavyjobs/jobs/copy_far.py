"""What of `storage.copy` leaves this host, or comes from elsewhere: one attempt, what it keeps for the next, what it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import Context
from heavyjobs.jobs.copy_here import Verify
from heavyjobs.jobs.far import Far, at_target, elsewhere, far_source, things
from heavyjobs.jobs.finished import is_there
from heavyjobs.jobs.kept import removed_unless
from heavyjobs.jobs.landing import DATA, Landing, newer
from heavyjobs.jobs.list_digest import ListDigest
from heavyjobs.jobs.moving import How, Item, Moved, Mover, OpenUpload, Target
from heavyjobs.jobs.places import state_of, target_path
from heavyjobs.jobs.policies import Overwrite
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Refused, TargetTaken, Trouble, shown, stop
from heavyjobs.storage import Found, open_storage
from heavyjobs.storage.keys import joined
from heavyjobs.storage.patience import Pace, patiently
from heavyjobs.units import show_bytes

KEEP_SECONDS: Final = 2.0
"""How often a tree's place in its list is kept at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    verify: Verify
    overwrite: Overwrite
    parallel: int
    part_bytes: int
    bandwidth: int | None


class Done(BaseModel):
    """What was done so far; with `uploads` it is the checkpoint.

    Attributes:
        last: the name of the last thing that is done; the list goes on after it. None before the first.
        begun_by: the number of the claim that began what lands on this host.
        published: the state of what is about to get its name on this host.
        single: the digest of the one thing, if there is but one; `listing` is that of the list of all.
    """

    files: int = 0
    kept: int = 0
    skipped: int = 0
    bytes: int = 0
    last: str | None = None
    begun_by: int = 0
    published: str = ""
    single: str | None = None
    listing: ListDigest | None = ListDigest()
    uploads: list[OpenUpload] = []

    @property
    def sha256(self) -> str | None:
        if self.single is not None:
            return self.single
        return self.listing.hex() if self.listing is not None and self.files else None

    def add(self, moved: Moved) -> None:
        name = self.last = moved.item.name
        if moved.kept:
            self.kept += 1
            return
        self.files += 1
        self.bytes += moved.item.found.bytes
        if moved.sha256 is None:
            self.listing = None
        elif not name:
            self.single = moved.sha256
        elif self.listing is not None:
            self.listing.add(f"{moved.sha256}  {name}\n".encode(errors="surrogateescape"))


class Outcome(NamedTuple):
    path: str
    done: Done


class FarCopy:
    """A copy from or to elsewhere, as one attempt of a job does it."""

    def __init__(self, ctx: Context[Progress, Trouble], source: str, target: str, options: Options) -> None:
        self._ctx: Final = ctx
        self._source: Final = source
        self._target: Final = target
        self._how: Final = options
        kept = ctx.resume(Done)
        self._resumed: Final = kept is not None
        self._done = kept or Done()
        self._kept_at = time.monotonic()

    def run(self) -> Outcome:
        """Copy, and say what was done.

        Raises:
            Stopped: what is wrong; what is of use to a next attempt is kept, if there will be one.
        """
        with far_source(self._ctx.locations, self._source) as source:
            single, found = things(source)
            far = elsewhere(self._ctx.locations, self._target)
            if far is None:
                return self._to_here(source, found, single=single)
            with at_target(self._target):
                place = open_storage(far.url)
            with closing(place):
                self._check_free(Target(place, self._target), far.key, single=single)
                items = [Item(name, thing, joined(far.key, name)) for name, thing in found]
                self._move(source, Target(place, self._target), items, overwrite=self._how.overwrite, maker=self._maker())
        return Outcome(self._target, self._done)

    # -- how it looks to the mover

    def publishing(self) -> AbstractContextManager[None]:
        return self._ctx.publishing()

    def opened(self, uploads: Sequence[OpenUpload]) -> None:
        self._done.uploads = [*uploads]
        self._keep()

    # -- helpers

    def _to_here(self, source: Far, found: Sequence[tuple[str, Found]], *, single: bool) -> Outcome:
        if is_there(place := self._ctx.locations.path(self._target), self._done.published):
            logger.info("{} was published by an earlier attempt, which died before it could say so", shown(self._target))
            return Outcome(str(place), self._done)
        path = self._landing_path(found, single=single)
        if path is None:
            self._done.kept = 1
            return Outcome(str(self._ctx.locations.path(self._target)), self._done)
        self._ctx.sweep_beside(self._target)
        landing = Landing(path, claim=self._ctx.claim, expected=self._done.begun_by)
        if landing.fresh:
            self._done = Done(begun_by=landing.begun_by)
        items = [Item(name, thing, joined(DATA, name)) for name, thing in found]
        with removed_unless(self._ctx.runs_again, landing.discard):
            self._move(source, Target(landing.place, self._target), items, overwrite="overwrite", maker="")
            self._done.published = state_of(landing.whole())
            self._keep()
            replace = self._how.overwrite in {"overwrite", "if_newer"}
            landing.publish(replace=replace, publishing=self.publishing, text=self._target)
        return Outcome(str(path), self._done)

    def _landing_path(self, found: Sequence[tuple[str, Found]], *, single: bool) -> Path | None:
        """Where it will lie, after the checks that spare work in vain; None when what is there stays."""
        policy, path = self._how.overwrite, self._ctx.locations.path(self._target)
        if policy == "if_newer" and not single:
            stop(Refused, "if_newer is for single files here", where=self._target, would_do="use overwrite or skip")
        if path.exists() and (policy == "skip" or (policy == "if_newer" and not newer(found[0][1].notes.mtime, path))):
            return None
        return target_path(self._ctx.locations, self._target, overwrite=policy != "error", folder=not single)

    def _check_free(self, target: Target, key: str, *, single: bool) -> None:
        """A tree that may replace nothing wants a prefix under which nothing lies, when it begins."""
        if single or self._how.overwrite != "error" or self._resumed:
            return
        with at_target(self._target):
            there = patiently(lambda: next(iter(target.place.walk(key)), None), pause=time.sleep)
        if there is not None:
            stop(TargetTaken, "holds something", where=self._target, would_do="use another target, or set overwrite")

    def _move(self, source: Far, target: Target, items: Sequence[Item], *, overwrite: Overwrite, maker: str) -> None:
        self._done.skipped = source.place.skipped
        meter = Meter(self._ctx.report)
        meter.start("copying", total=sum(item.found.bytes for item in items))
        how = How(
            hands=self._how.parallel,
            part_bytes=self._how.part_bytes,
            pace=Pace(self._how.bandwidth),
            overwrite=overwrite,
            digests=self._how.verify != "none",
            read_back=self._how.verify == "readback",
            maker=maker,
            resumed=self._resumed,
        )
        mover = Mover(source, target, how, meter=meter, keeper=self, uploads=self._done.uploads)
        self._keep()
        with removed_unless(self._ctx.runs_again, mover.abandon):
            self._take_all(mover.move(self._left(items, meter)))
        meter.end()
        logger.info("copied {}: {:,} files, {}", shown(self._target), self._done.files, show_bytes(self._done.bytes))

    def _take_all(self, moved: Iterable[Moved]) -> None:
        for one in moved:
            self._done.add(one)
            self._done.uploads = [upload for upload in self._done.uploads if upload.name != one.item.name]
            if time.monotonic() - self._kept_at > KEEP_SECONDS:
                self._keep()

    def _left(self, items: Sequence[Item], meter: Meter) -> list[Item]:
        """What an earlier attempt has not done."""
        if self._done.last is None:
            return [*items]
        last = self._done.last.split("/")
        left = [item for item in items if item.name.split("/") > last]
        meter.add(sum(item.found.bytes for item in items) - sum(item.found.bytes for item in left))
        logger.info("going on after {}: {:,} of {:,} files are left", shown(self._done.last), len(left), len(items))
        return left

    def _maker(self) -> str:
        return self._ctx.job_id.hex

    def _keep(self) -> None:
        self._ctx.checkpoint(self._done)
        self._kept_at = time.monotonic()
