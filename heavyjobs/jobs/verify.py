"""`storage.verify`: whether two places hold the same, or one holds what a digest says; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Final, Literal, NamedTuple, Self

from loguru import logger
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.far import Far, Reader, far_source, things
from heavyjobs.jobs.list_digest import ListDigest
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Different, Stopped, Trouble, shown, typed
from heavyjobs.locations import Place
from heavyjobs.storage import Found
from heavyjobs.storage.crew import Crew
from heavyjobs.storage.patience import Pace
from heavyjobs.units import show_bytes, size_bytes

PART_BYTES: Final = 8 << 20
KEEP_SECONDS: Final = 2.0
NAMES_MAX: Final = 20
"""Of the names of what differs, in the error; all of them are in the log."""


class Verified(BaseModel):
    """What was found to be the same.

    Attributes:
        sha256: as `storage.copy` gives it: of the one file, or of the list of all. None when only sizes were compared.
    """

    files: int
    bytes: int
    sha256: str | None


class Pair(NamedTuple):
    name: str
    source: Found
    target: Found | None


class Checked(BaseModel):
    """How far it is; the checkpoint."""

    last: str | None = None
    files: int = 0
    bytes: int = 0
    single: str | None = None
    listing: ListDigest = ListDigest()
    missing: int = 0
    extra: int = 0
    changed: int = 0
    names: list[str] = []

    def differs(self, name: str, why: Literal["missing", "extra", "changed"]) -> None:
        logger.warning("{}: {}", why, shown(name) or "the one thing")
        setattr(self, why, getattr(self, why) + 1)
        if len(self.names) < NAMES_MAX:
            self.names.append(f"{shown(name)} ({why})")

    def add(self, name: str, found: Found, sha256: str) -> None:
        self.files += 1
        self.bytes += found.bytes
        if name:
            self.listing.add(f"{sha256}  {name}\n".encode(errors="surrogateescape"))
        else:
            self.single = sha256


class Verify(Job[Verified, Progress, Trouble], kind="storage.verify"):
    """Compare all below two places of any kind, or one with a digest that `storage.copy` gave; fails when anything differs.

    `content` reads both sides whole; `size` compares names and sizes only, as far as listings say them. Times and modes do not
    count, neither do links. It goes on after the last file that was compared when its worker died; a single file is read again.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | a name is missing or too many on the target, or bytes differ | `Different`, all names in the log | no |
    | a place is not there, or may not be read | `SourceMissing` | no |
    | something changes while it is read | `SourceChanged` | yes |
    | a place that is not open to jobs, a name that would escape | `Refused` | no |
    | a server stalls, resets or answers 5xx for long | `StorageAway` | yes |
    | a package for that kind of place is missing | `NotInstalled` | yes |
    """

    source: Place
    target: Place | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    compare: Literal["content", "size"] = "content"
    parallel: int = Field(default=4, ge=1, le=32)
    bandwidth: Annotated[int, BeforeValidator(size_bytes)] | None = Field(default=None, ge=1 << 10)

    config = JobConfig(timeout=None, memory=None)

    @model_validator(mode="after")
    def _against_something(self) -> Self:
        if self.target is None and (self.sha256 is None or self.compare == "size"):
            raise ValueError("nothing to compare with; give a target, or a sha256 and compare=content")
        return self

    def run(self, ctx: Context[Progress, Trouble]) -> Verified:
        with typed(ctx, target=self.target or self.source), ExitStack() as open_:
            source = open_.enter_context(far_source(ctx.locations, self.source))
            target = None if self.target is None else open_.enter_context(far_source(ctx.locations, self.target))
            checked = _Comparing(ctx, self, source, target).run()
            if self.sha256 is not None and self.sha256 != _digest_of(checked):
                checked.differs("", "changed")
            _judge(checked, self.target or self.source)
        logger.info("the same: {:,} files, {}", checked.files, show_bytes(checked.bytes))
        sha256 = _digest_of(checked) if self.compare == "content" else None
        return Verified(files=checked.files, bytes=checked.bytes, sha256=sha256)


class _Comparing:
    def __init__(self, ctx: Context[Progress, Trouble], job: Verify, source: Far, target: Far | None) -> None:
        self._ctx: Final = ctx
        self._job: Final = job
        self._source: Final = source
        self._target: Final = target
        self._pace: Final = Pace(job.bandwidth)
        self._meter: Final = Meter(ctx.report)
        self._kept_at = time.monotonic()

    def run(self) -> Checked:
        checked = self._ctx.resume(Checked)
        pairs, extra = self._pairs()
        if checked is None:
            checked = Checked()
            for name in extra:
                checked.differs(name, "extra")
        last = None if checked.last is None else checked.last.split("/")
        left = [pair for pair in pairs if last is None or pair.name.split("/") > last]
        sides = 1 if self._target is None else 2
        total = sides * sum(pair.source.bytes for pair in left) if self._job.compare == "content" else None
        self._meter.start("comparing", total=total)
        self._compare(left, checked)
        self._meter.end()
        return checked

    def _pairs(self) -> tuple[list[Pair], list[str]]:
        """What is to be compared, in order, and what only the target has."""
        _, there = things(self._source)
        if self._target is None:
            return [Pair(name, found, found) for name, found in there], []
        other = dict(things(self._target)[1])
        pairs = [Pair(name, found, other.pop(name, None)) for name, found in there]
        return pairs, [*other]

    def _compare(self, pairs: Sequence[Pair], checked: Checked) -> None:
        same_size = [pair for pair in pairs if pair.target is not None and pair.target.bytes == pair.source.bytes]
        digests = self._digests(same_size) if self._job.compare == "content" else iter([("", "")] * len(same_size))
        for pair in pairs:
            self._meter.item(shown(pair.name))
            if pair.target is None:
                checked.differs(pair.name, "missing")
            elif pair.target.bytes != pair.source.bytes:
                checked.differs(pair.name, "changed")
            else:
                one, other = next(digests)
                checked.add(pair.name, pair.source, one) if one == other else checked.differs(pair.name, "changed")
            self._keep(pair.name, checked)

    def _digests(self, pairs: Sequence[Pair]) -> Iterator[tuple[str, str]]:
        """Of both sides, read at the same time."""
        ones = self._reader(self._source).digests([pair.source for pair in pairs], self._meter)
        if self._target is None:
            return ((one, one) for _, one in ones)
        others = self._reader(self._target).digests([pair.target for pair in pairs if pair.target is not None], self._meter)
        return ((one, other) for (_, one), (_, other) in zip(ones, others, strict=True))

    def _reader(self, far: Far) -> Reader:
        return Reader(far, crew=Crew(self._job.parallel), part_bytes=PART_BYTES, pace=self._pace)

    def _keep(self, name: str, checked: Checked) -> None:
        checked.last = name
        if time.monotonic() - self._kept_at > KEEP_SECONDS:
            self._ctx.checkpoint(checked)
            self._kept_at = time.monotonic()


def _digest_of(checked: Checked) -> str:
    return checked.single or checked.listing.hex()


def _judge(checked: Checked, where: str) -> None:
    """Stop when anything differs."""
    missing, extra, changed = checked.missing, checked.extra, checked.changed
    if not missing + extra + changed:
        return
    different = Different(
        what=f"{missing:,} missing, {extra:,} too many, {changed:,} with other bytes, such as {', '.join(checked.names)}",
        where=shown(where),
        would_do="copy what differs again",
        missing=missing,
        extra=extra,
        changed=changed,
        names=checked.names,
    )
    raise Stopped(different)
