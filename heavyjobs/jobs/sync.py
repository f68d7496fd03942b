"""`storage.sync`: make one place hold what another does, thing by thing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Annotated, Final

from loguru import logger
from pydantic import BaseModel, BeforeValidator, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.copy_here import check_apart
from heavyjobs.jobs.far import Far, Reader, at_target, elsewhere, far_source, things
from heavyjobs.jobs.kept import removed_unless
from heavyjobs.jobs.moving import How, Item, Mover, OpenUpload, Target
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.sync_plan import Compare, Plan, plan, wanted
from heavyjobs.jobs.trouble import Refused, SourceMissing, Trouble, shown, stop, typed
from heavyjobs.locations import Elsewhere, Place
from heavyjobs.storage import Found, NotThere, Storage, open_storage
from heavyjobs.storage.crew import Crew
from heavyjobs.storage.keys import below, joined
from heavyjobs.storage.local import LocalStorage
from heavyjobs.storage.patience import Pace, patiently
from heavyjobs.units import show_bytes, size_bytes

PART_BYTES: Final = 8 << 20


class Synced(BaseModel):
    """What was done, or would be, with `dry_run`.

    Attributes:
        kept: things that are the same on both sides. bytes: of those that were copied.
    """

    copied: int
    deleted: int
    kept: int
    bytes: int
    dry_run: bool


class Open(BaseModel):
    """Uploads that are open; the checkpoint. What is done shows in the listings."""

    uploads: list[OpenUpload] = []


class Sync(Job[Synced, Progress, Trouble], kind="storage.sync"):
    """Copy what the target lacks or has otherwise, and with `delete` remove what only the target has.

    Each thing changes whole, one after the other; a folder on this host is not replaced as a whole. Deleting comes last, and
    only after everything was copied. Links are left alone on both sides. `compare` says what counts as the same: `time` (as
    many bytes, and the source is no newer), `size`, or `content`, which reads both sides. `include` and `exclude` are patterns
    of names or of any part of them; what they leave out is neither copied nor deleted. `dry_run` logs what would be done.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is not there, is a single thing, or may not be read | `SourceMissing` | no |
    | something changes while it is read | `SourceChanged` | yes |
    | what was written is not what was read | `OutputWrong` | yes |
    | `delete` with a source that holds nothing; places that overlap; a name that would escape | `Refused` | no |
    | no permission, no such bucket, a name that is a folder there | `TargetUnusable` | no |
    | a server stalls, resets or answers 5xx for long | `StorageAway` | yes |
    | a package for that kind of place is missing | `NotInstalled` | yes |
    """

    source: Place
    target: Place
    delete: bool = False
    dry_run: bool = False
    compare: Compare = "time"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    parallel: int = Field(default=4, ge=1, le=32)
    bandwidth: Annotated[int, BeforeValidator(size_bytes)] | None = Field(default=None, ge=1 << 10)

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Synced:
        with typed(ctx, target=self.target), far_source(ctx.locations, self.source) as source:
            there = elsewhere(ctx.locations, self.target)
            self._check_apart(ctx, there)
            with at_target(self.target):
                place = LocalStorage(ctx.locations.path(self.target)) if there is None else open_storage(there.url)
            with closing(place):
                return _Syncing(ctx, self, source, place, there.key if there else "").run()

    def _check_apart(self, ctx: Context[Progress, Trouble], there: Elsewhere | None) -> None:
        here = elsewhere(ctx.locations, self.source)
        if here is None and there is None:
            source, target = (Path(os.path.realpath(ctx.locations.path(text))) for text in (self.source, self.target))
            check_apart(source, target, text=self.target)
        elif here is not None and there is not None and here.url == there.url:
            check_apart(Path("/", here.key), Path("/", there.key), text=self.target)


class _Syncing:
    def __init__(self, ctx: Context[Progress, Trouble], job: Sync, source: Far, place: Storage, key: str) -> None:
        self._ctx: Final = ctx
        self._job: Final = job
        self._source: Final = source
        self._place: Final = place
        self._key: Final = key
        self._meter: Final = Meter(ctx.report)
        self._pace: Final = Pace(job.bandwidth)

    def run(self) -> Synced:
        source = self._wanted(self._listed_source())
        target = self._wanted(self._listed_target())
        if self._job.delete and not source:
            stop(Refused, "holds nothing, so that all would be deleted", where=self._job.source, would_do="delete it yourself")
        made = plan(source, target, compare=self._job.compare, delete=self._job.delete)
        self._settle(made, source, target)
        size = sum(source[name].bytes for name in made.copy)
        for verb, names in (("copy", made.copy), ("delete", made.delete)):
            for name in names:
                logger.info("{} {}", f"would {verb}" if self._job.dry_run else verb, shown(name))
        if not self._job.dry_run:
            self._copy([Item(name, source[name], joined(self._key, name)) for name in made.copy], size)
            self._delete(made.delete)
        logger.info("{:,} to copy ({}), {:,} to delete", len(made.copy), show_bytes(size), len(made.delete))
        return Synced(
            copied=len(made.copy), deleted=len(made.delete), kept=len(made.keep), bytes=size, dry_run=self._job.dry_run
        )

    # -- how it looks to the mover

    def publishing(self) -> AbstractContextManager[None]:
        return self._ctx.publishing()

    def opened(self, uploads: Sequence[OpenUpload]) -> None:
        self._ctx.checkpoint(Open(uploads=[*uploads]))

    # -- helpers

    def _listed_source(self) -> dict[str, Found]:
        single, found = things(self._source)
        if single:
            stop(SourceMissing, "is a single thing", where=self._job.source, would_do="use storage.copy")
        return dict(found)

    def _listed_target(self) -> dict[str, Found]:
        with at_target(self._job.target):
            try:
                found = patiently(lambda: list(self._place.walk(self._key)), pause=Crew(1).pause)
            except NotThere:  # a folder that the first file will make
                return {}
        return {below(thing.key, self._key): thing for thing in found}

    def _wanted(self, found: dict[str, Found]) -> dict[str, Found]:
        job = self._job
        return {name: thing for name, thing in found.items() if wanted(name, include=job.include, exclude=job.exclude)}

    def _settle(self, made: Plan, source: dict[str, Found], target: dict[str, Found]) -> None:
        """Read what is in doubt on both sides, and put it where it belongs."""
        if not made.doubtful:
            return
        self._meter.start("comparing", total=2 * sum(source[name].bytes for name in made.doubtful))
        there = Far(self._place, self._key, self._job.target)
        ones = self._reader(self._source).digests([source[name] for name in made.doubtful], self._meter)
        others = self._reader(there).digests([target[name] for name in made.doubtful], self._meter)
        for name, (_, one), (_, other) in zip(made.doubtful, ones, others, strict=True):
            (made.keep if one == other else made.copy).append(name)

    def _copy(self, items: Sequence[Item], size: int) -> None:
        self._meter.start("copying", total=size)
        left = self._ctx.resume(Open)
        how = How(
            hands=self._job.parallel,
            part_bytes=PART_BYTES,
            pace=self._pace,
            overwrite="overwrite",
            digests=True,
            read_back=False,
            maker=self._ctx.job_id.hex,
            resumed=left is not None,
        )
        target = Target(self._place, self._job.target)
        uploads = [] if left is None else left.uploads
        mover = Mover(self._source, target, how, meter=self._meter, keeper=self, uploads=uploads)
        with removed_unless(self._ctx.runs_again, mover.abandon):
            for _ in mover.move(items):
                pass
        self._meter.end()

    def _delete(self, names: Sequence[str]) -> None:
        self._meter.start("deleting", total=len(names), unit="files")
        for name in names:
            self._meter.item(shown(name))
            with at_target(self._job.target), self._ctx.publishing():
                self._place.delete(joined(self._key, name))
            self._meter.add(1)
        self._meter.end()

    def _reader(self, far: Far) -> Reader:
        return Reader(far, crew=Crew(self._job.parallel), part_bytes=PART_BYTES, pace=self._pace)
