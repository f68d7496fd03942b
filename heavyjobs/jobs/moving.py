"""Move things from one place to another: small ones whole, large ones by parts, several at a time, each counted in order.

     caller's thread      steps ─▶ begin uploads         ◀─ data, in order ─ digest, count, checkpoint, commit
     the crew's threads            read a part ─▶ put it

Guarantees: a thing appears whole; an upload is known to the checkpoint before its first part is sent, and a part that a place
keeps is not sent again. Memory is bounded by (hands + 1) parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol, TypeAlias, TypeVar

from loguru import logger
from pydantic import BaseModel

from heavyjobs.jobs.far import Far, Reader, at_target, name_in
from heavyjobs.jobs.policies import Leave, Overwrite, decide
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import OutputWrong, TargetTaken, TargetUnusable, shown, stop
from heavyjobs.storage import ANY, AlreadyThere, Condition, Found, Notes, NotThere, Part, Storage
from heavyjobs.storage.crew import Crew
from heavyjobs.storage.patience import Pace, patiently
from heavyjobs.storage.protocol import part_bytes

T = TypeVar("T")


class OpenUpload(BaseModel):
    """An upload that a later attempt may go on with, if the source is still the same."""

    name: str
    key: str
    version: str
    upload: str
    part_bytes: int


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to be moved: its name among all (empty: the only one), what it is, and its key at the target."""

    name: str
    found: Found
    key: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of an item; `sha256` is None when the bytes did not come by here."""

    item: Item
    sha256: str | None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write, and how the parameters say it."""

    place: Storage
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How things are moved.

    Attributes:
        hands: parts and small things that move at once.
        digests: whether bytes come by here; else a server that can copies by itself.
        read_back: whether what was written is read again and compared.
        maker: what is noted beside things, before the source's version; empty where nobody else writes.
        resumed: whether an earlier attempt began with this.
    """

    hands: int
    part_bytes: int
    pace: Pace
    overwrite: Overwrite
    digests: bool
    read_back: bool
    maker: str
    resumed: bool


class Keeper(Protocol):
    """What a mover needs of its job."""

    def publishing(self) -> AbstractContextManager[None]: ...

    def opened(self, uploads: Sequence[OpenUpload]) -> None:
        """These uploads are open now; to be kept before the first byte goes there."""
        ...


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class _Large:
    """An item on its way by parts; `upload` is None when it is there already and only its digest is wanted."""

    item: Item
    condition: Condition
    part_bytes: int
    upload: OpenUpload | None
    kept: dict[int, Part]
    done: list[Part] = field(default_factory=list[Part])
    digest: _Digest = field(default_factory=hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Small:
    item: Item


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part `number` of a large item."""

    large: _Large
    number: int
    start: int
    count: int


_Step: TypeAlias = _Small | _Piece | Moved
_Answer: TypeAlias = Moved | tuple[Part, bytes]


class Mover:
    """Moves items; `uploads` are those that an earlier attempt left open."""

    def __init__(
        self, source: Far, target: Target, how: How, *, meter: Meter, keeper: Keeper, uploads: Sequence[OpenUpload]
    ) -> None:
        self._crew: Final = Crew(how.hands)
        self._source: Final = source
        self._target: Final = target
        self._how: Final = how
        self._meter: Final = meter
        self._keeper: Final = keeper
        self._uploads: Final = {upload.name: upload for upload in uploads}
        self._reader: Final = self._reading(source)
        self._checker: Final = self._reading(Far(target.place, "", target.text))
        self._by_server: Final = not how.digests and target.place.copies_from(source.place)

    def move(self, items: Iterable[Item]) -> Generator[Moved]:
        """Move all, and say in their order what became of each.

        Raises:
            Stopped: what is wrong; uploads that are open stay so.
        """
        with closing(self._crew.in_order(self._steps(items), self._do)) as answers:
            for step, answer in answers:
                if isinstance(answer, Moved):
                    self._meter.add(answer.item.found.bytes)
                    yield answer
                elif isinstance(step, _Piece):
                    yield from self._take(step, *answer)
        self.abandon()  # what an earlier attempt opened and nobody wanted any more

    def abandon(self) -> None:
        """Forget all uploads that are open, as well as can be."""
        for upload in self._uploads.values():
            try:
                self._target.place.abort(upload.key, upload.upload)
            except Exception as error:  # noqa: BLE001 - something else went wrong before, and that is what counts
                logger.warning("an upload to {} could not be taken back: {}", shown(upload.key), error)
        self._uploads.clear()

    # -- in the caller's thread

    def _steps(self, items: Iterable[Item]) -> Iterator[_Step]:
        for item in items:
            self._meter.item(shown(item.name or self._target.text))
            size = self._part_bytes(item)
            if item.found.bytes <= size or self._by_server:
                with self._keeper.publishing():
                    pass  # small things are written by the crew: look beforehand that they are still ours to write
                yield _Small(item)
            else:
                yield from self._by_parts(item, size)

    def _by_parts(self, item: Item, size: int) -> Iterator[_Step]:
        decision = self._decide(item)
        if decision is Leave.KEPT:
            yield Moved(item, None, kept=True)
            return
        large = self._opened(item, decision, size) if isinstance(decision, Condition) else _Large(item, ANY, size, None, {})
        total, size = item.found.bytes, large.part_bytes
        for number, start in enumerate(range(0, total, size), start=1):
            yield _Piece(large, number, start, min(size, total - start))

    def _opened(self, item: Item, condition: Condition, size: int) -> _Large:
        """An upload for an item: the one that an earlier attempt left, or a new one."""
        left = self._uploads.get(item.name)
        if left is not None and (left.version, left.key) == (item.found.version, item.key) and left.version:
            kept = self._kept(left)
            if kept is not None:
                logger.info("going on with {}: {:,} parts are there", shown(item.key), len(kept))
                return _Large(item, condition, left.part_bytes, left, kept)
        if left is not None:
            self._ask(item, lambda: self._target.place.abort(left.key, left.upload))
        name = self._ask(item, lambda: self._target.place.begin(item.key, notes=self._notes(item)))
        upload = OpenUpload(name=item.name, key=item.key, version=item.found.version, upload=name, part_bytes=size)
        self._uploads[item.name] = upload
        self._keeper.opened([*self._uploads.values()])
        return _Large(item, condition, size, upload, {})

    def _kept(self, upload: OpenUpload) -> dict[int, Part] | None:
        """The parts of an upload; None when it is gone."""
        with at_target(name_in(self._target.text, upload.name)):
            try:
                found = patiently(lambda: self._target.place.parts(upload.key, upload.upload), pause=self._crew.pause)
            except NotThere:
                return None
        return {part.number: part for part in found}

    def _take(self, piece: _Piece, part: Part, data: bytes) -> Iterator[Moved]:
        large = piece.large
        large.digest.update(data)
        large.done.append(part)
        self._meter.add(len(data))
        if piece.start + piece.count == large.item.found.bytes:
            yield self._finished(large)

    def _finished(self, large: _Large) -> Moved:
        item, sha256 = large.item, large.digest.hexdigest()
        if large.upload is not None:
            upload = large.upload.upload
            self._commit(large, upload)
            del self._uploads[item.name]
        self._check(item, sha256)
        return Moved(item, sha256)

    def _commit(self, large: _Large, upload: str) -> None:
        """Complete the upload; when an answer was lost, a look says whether it had happened."""
        item, place, notes = large.item, self._target.place, self._notes(large.item)

        def commit() -> None:
            with self._keeper.publishing():
                place.commit(item.key, upload, large.done, notes=notes, condition=large.condition)

        with at_target(self._text(item)):
            try:
                patiently(commit, pause=self._crew.pause)
            except AlreadyThere:
                if not self._is_ours(item):
                    raise
            except NotThere:
                if not self._is_ours(item):
                    stop(OutputWrong, "the upload was swept away", where=self._text(item), would_do="try again")

    # -- in the crew's threads

    def _do(self, step: _Step) -> _Answer:
        self._crew.check()
        match step:
            case Moved():
                return step
            case _Small(item):
                return self._server_copy(item) if self._by_server else self._small(item)
            case _Piece():
                return self._piece(step)

    def _piece(self, piece: _Piece) -> tuple[Part, bytes]:
        large, place = piece.large, self._target.place
        kept = large.kept.get(piece.number)
        if large.upload is None or (kept is not None and kept.bytes == piece.count):
            part = kept or Part(piece.number, piece.count, "")
            return part, self._again(piece, part)
        data, upload = self._reader.range(large.item.found, piece.start, piece.count), large.upload.upload
        part = self._ask(
            large.item,
            lambda: place.put_part(large.item.key, upload, number=piece.number, start=piece.start, data=data),
        )
        return part, data

    def _again(self, piece: _Piece, part: Part) -> bytes:
        """The bytes of a part that is there already, for the digest: from the nearest place that gives them."""
        large = piece.large
        if large.upload is not None:
            upload = large.upload.upload
            near = self._ask(large.item, lambda: self._target.place.read_part(large.item.key, upload, part, start=piece.start))
            if near is not None:
                return near
        return self._reader.range(large.item.found, piece.start, piece.count)

    def _small(self, item: Item) -> Moved:
        decision = self._decide(item)
        if decision is Leave.KEPT:
            return Moved(item, None, kept=True)
        data = self._reader.range(item.found, 0, item.found.bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        if isinstance(decision, Condition):
            notes = self._notes(item, sha256)
            self._write(item, lambda: self._target.place.put(item.key, data, notes=notes, condition=decision))
        self._check(item, sha256)
        return Moved(item, sha256)

    def _server_copy(self, item: Item) -> Moved:
        decision = self._decide(item)
        if isinstance(decision, Condition):
            notes, place = self._notes(item), self._target.place
            self._write(item, lambda: place.copy(self._source.place, item.found, item.key, notes=notes, condition=decision))
        return Moved(item, None, kept=decision is Leave.KEPT)

    # -- in both

    def _decide(self, item: Item) -> Condition | Leave:
        if self._how.overwrite == "overwrite" and not self._how.maker:
            return ANY
        there = self._ask(item, lambda: self._target.place.stat(item.key))
        decision = decide(self._how.overwrite, item.found, there, maker=self._notes(item).maker)
        if isinstance(decision, Leave) and self._how.resumed and there is not None and self._looks_ours(item, there):
            return Leave.OURS  # an earlier attempt wrote it, and died before it could say so
        if decision is Leave.TAKEN:
            self._taken(item)
        return decision

    def _write(self, item: Item, call: Callable[[], None]) -> None:
        """Write at once; a condition that does not hold any more may be due to an earlier try whose answer was lost."""
        with at_target(self._text(item)):
            try:
                patiently(call, pause=self._crew.pause)
            except AlreadyThere:
                if not self._is_ours(item):
                    raise

    def _is_ours(self, item: Item) -> bool:
        """Whether the target holds what this very job wrote."""
        there = patiently(lambda: self._target.place.stat(item.key), pause=self._crew.pause)
        return there is not None and self._looks_ours(item, there)

    def _looks_ours(self, item: Item, there: Found) -> bool:
        """By the notes; where a place keeps none by size and time, which are nobody else's by chance; else by its bytes."""
        if there.bytes != item.found.bytes:
            return False
        if self._target.place.keeps_notes:
            return there.notes.maker == self._notes(item).maker != ""
        if self._target.place.keeps_times:
            return there.notes.mtime is not None and int(there.notes.mtime) == int(item.found.notes.mtime or -1)
        return self._read_back(item, there) == self._reader.digest(item.found, Meter(lambda _: None))

    def _check(self, item: Item, sha256: str) -> None:
        """Look at what was written: its size, and all of it when it is to be read back. What is wrong and ours is removed."""
        there = self._ask(item, lambda: self._target.place.stat(item.key))
        wrong = there is None or there.bytes != item.found.bytes
        if there is not None and not wrong and self._how.read_back:
            wrong = self._read_back(item, there) != sha256
        if wrong:
            if there is not None and self._looks_ours(item, there):
                self._ask(item, lambda: self._target.place.delete(item.key))  # or a next attempt would take it for done
            stop(
                OutputWrong,
                "is not what was read",
                where=self._text(item),
                would_do="try again, and check the place if it recurs",
            )

    def _read_back(self, item: Item, there: Found) -> str:
        if there.bytes <= self._part_bytes(item):
            return hashlib.sha256(self._checker.range(there, 0, there.bytes)).hexdigest()
        return self._checker.digest(there, Meter(lambda _: None))

    def _ask(self, item: Item, call: Callable[[], T]) -> T:
        """Call the target, with patience, and its trouble typed."""
        with at_target(self._text(item)):
            return patiently(call, pause=self._crew.pause)

    def _notes(self, item: Item, sha256: str = "") -> Notes:
        maker = f"{self._how.maker}:{item.found.version}" if self._how.maker else ""
        return Notes(mtime=item.found.notes.mtime, maker=maker, sha256=sha256)

    def _part_bytes(self, item: Item) -> int:
        try:
            return part_bytes(item.found.bytes, wanted=self._how.part_bytes, limits=self._target.place.limits)
        except ValueError as error:
            stop(TargetUnusable, str(error), where=self._text(item), would_do="use another target")

    def _taken(self, item: Item) -> NoReturn:
        stop(TargetTaken, "exists", where=self._text(item), would_do="use another target, or set overwrite")

    def _text(self, item: Item) -> str:
        return name_in(self._target.text, item.name)

    def _reading(self, far: Far) -> Reader:
        return Reader(far, crew=self._crew, part_bytes=self._how.part_bytes, pace=self._how.pace)
