"""Any other place that fsspec opens, plainly: parts of a thing are written one after the other, and none is kept for later.

Guarantees: where the place can move, a thing is written beside its key under a hidden name, and moved there whole; elsewhere it
is written to its key at once, which object stores show only when it is complete. An attempt that broke off begins anew.
Assumes: what a server's links lead to is the server's concern; versions are as good as the place's tags, or sizes and times.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final
from uuid import uuid4

from loguru import logger

from heavyjobs.storage.failures import AlreadyThere, Changed, NotThere, Unusable
from heavyjobs.storage.fsspec_failures import said
from heavyjobs.storage.fsspec_stream import Stream
from heavyjobs.storage.fsspec_url import Opened
from heavyjobs.storage.keys import HIDDEN, joined, key_fault
from heavyjobs.storage.protocol import PIECE_BYTES, Condition, Found, Limits, Notes, Part, Source

BLOCK_BYTES: Final = 4 << 20
"""Of what is asked for at a time."""

_TIMES: Final = ("modified", "mtime", "last_modified", "LastModified", "updated", "modify", "created")
_TAGS: Final = ("etag", "ETag", "md5", "checksum", "content_md5")


class FsspecStorage:
    limits: ClassVar[Limits] = Limits(smallest=1, largest=1 << 30, count=1 << 30)
    keeps_notes: ClassVar[bool] = False
    keeps_times: ClassVar[bool] = False

    def __init__(self, opened: Opened) -> None:
        self._opened: Final = opened
        self._idle: Final[SimpleQueue[Any]] = SimpleQueue()
        self._streams: Final[dict[str, Stream]] = {}
        self._folders: Final = threading.Lock()
        self.skipped = 0

    def stat(self, key: str) -> Found | None:
        with self._fs(key) as fs:
            return self._look(fs, key)

    def walk(self, key: str) -> Iterator[Found]:
        """Entry by entry: fsspec's own walk leaves out folders that cannot be listed, and a sync would delete their copies."""
        waiting = [key]
        while waiting:
            folder = waiting.pop()
            try:
                with self._fs(folder) as fs:
                    entries = fs.ls(self._path(folder), detail=True)
            except NotThere:
                if folder == key:
                    return
                raise
            for entry in entries:
                path = str(entry["name"]).strip("/")
                name = path.rpartition("/")[2]
                if not name or name.startswith(HIDDEN) or path == self._path(folder).strip("/"):
                    continue
                child = self._sound(joined(folder, name))
                if entry["type"] == "directory":
                    waiting.append(child)
                elif entry["type"] == "file":
                    yield _found(child, entry)
                else:
                    self.skipped += 1
                    logger.warning("left out {!r}: neither file nor folder", child)

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        with self._fs(found.key) as fs:
            for at in range(start, start + count, BLOCK_BYTES):
                end = min(at + BLOCK_BYTES, start + count)
                data = fs.cat_file(self._path(found.key), start=at, end=end)
                if len(data) != end - at:
                    raise Changed(found.key, "gave another number of bytes than it should")
                yield from (data[piece : piece + PIECE_BYTES] for piece in range(0, len(data), PIECE_BYTES))
            there = self._look(fs, found.key)
        if there is None or there.version != found.version:
            raise Changed(found.key, "changed while it was read")

    def put(self, key: str, data: bytes, *, notes: Notes, condition: Condition) -> None:
        upload = self.begin(key, notes=notes)
        try:
            part = self.put_part(key, upload, number=1, start=0, data=data)
            self.commit(key, upload, [part], notes=notes, condition=condition)
        finally:
            self.abort(key, upload)

    def begin(self, key: str, *, notes: Notes) -> str:
        del notes
        upload = uuid4().hex
        with self._fs(key) as fs:
            self._make_folder(fs, key)
        self._streams[upload] = Stream(key, self._hidden(key, upload), self._path(key), self._opened)
        return upload

    def put_part(self, key: str, upload: str, *, number: int, start: int, data: bytes) -> Part:
        del start
        self._stream(key, upload).write(number, data)
        return Part(number, len(data), "")

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        """Those of a stream that is open in this process: another one cannot go on with it."""
        return self._stream(key, upload).parts

    def read_part(self, key: str, upload: str, part: Part, *, start: int) -> bytes | None:
        del key, upload, part, start
        return None

    def commit(self, key: str, upload: str, parts: Sequence[Part], *, notes: Notes, condition: Condition) -> None:
        del notes  # there is no way to keep them that all such places have
        stream = self._stream(key, upload)
        stream.check(sum(part.bytes for part in parts))
        there = self.stat(key)
        if (condition.new and there) or (condition.version and (there is None or there.version != condition.version)):
            raise AlreadyThere(key, "exists, or changed meanwhile")
        stream.publish(replace=not condition.new)
        self.abort(key, upload)

    def abort(self, key: str, upload: str) -> None:
        if stream := self._streams.pop(upload, None):
            stream.drop()
            if stream.published:
                return
        with self._fs(key) as fs, suppress(FileNotFoundError):
            if self._look(fs, key, self._hidden(key, upload)):
                fs.rm_file(self._hidden(key, upload))

    def copies_from(self, source: Source) -> bool:
        del source
        return False

    def copy(self, source: Source, found: Found, key: str, *, notes: Notes, condition: Condition) -> None:
        del source, found, notes, condition
        raise Unusable(key, "cannot be copied by the server itself")

    def delete(self, key: str) -> None:
        with self._fs(key) as fs, suppress(FileNotFoundError):
            if self._look(fs, key):
                fs.rm_file(self._path(key))

    def close(self) -> None:
        for stream in self._streams.values():
            stream.drop(quietly=True)
        with suppress(Empty):
            while True:
                self._opened.disconnect(self._idle.get_nowait())

    # -- helpers

    def _look(self, fs: Any, key: str, path: str | None = None) -> Found | None:
        fs.invalidate_cache()
        try:
            info = fs.info(self._path(key) if path is None else path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _found(key, info) if info["type"] == "file" else None

    def _path(self, key: str) -> str:
        return f"{self._opened.root}/{self._sound(key)}".lstrip(self._lead()) if key else self._opened.root

    def _lead(self) -> str:
        """Some kinds write their paths from a slash, others without one."""
        return "" if self._opened.kind.root_marker else "/"

    def _sound(self, key: str) -> str:
        if fault := key_fault(key):
            raise Unusable(key, fault, would_do="give it another name, or copy without it")
        return key

    def _hidden(self, key: str, upload: str) -> str:
        folder, _, _ = self._path(key).rpartition("/")
        return f"{folder}/{HIDDEN}{upload}".lstrip(self._lead())

    def _stream(self, key: str, upload: str) -> Stream:
        if upload not in self._streams:
            raise NotThere(key, "the upload was left by another attempt, and such places keep none")
        return self._streams[upload]

    def _make_folder(self, fs: Any, key: str) -> None:
        """One at a time: two that make the same folder would take each other's for trouble."""
        folder, _, _ = self._path(key).rpartition("/")
        with self._folders:
            if folder and not fs.isdir(folder):
                fs.makedirs(folder, exist_ok=True)

    @contextmanager
    def _fs(self, key: str) -> Generator[Any]:
        """A file system of the caller's own: many of them cannot be shared by threads. After trouble nobody trusts it again."""
        with said(key):
            fs = self._taken()
            try:
                fs.invalidate_cache()
                yield fs
            except BaseException:
                self._opened.disconnect(fs)
                raise
            self._idle.put(fs)

    def _taken(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._opened.connect()


def _found(key: str, info: Any) -> Found:
    size = info.get("size")
    if not isinstance(size, int):
        raise Unusable(key, "the server does not say how large it is", would_do="fetch it by a program")
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    time = next((info[name] for name in _TIMES if info.get(name)), None)
    return Found(key=key, bytes=size, version=f"{tag}-{size}-{time}", notes=Notes(mtime=seconds_of(time)))


def seconds_of(time: object) -> float | None:
    """A time as one of many packages says it: a number, a date, or text (ISO 8601, or `20260102030405` of an FTP server)."""
    if isinstance(time, int | float):
        return float(time)
    text = str(time)
    if text[:14].isdecimal():
        text = f"{text[:8]}T{text[8:14]}"
    try:
        found = time if isinstance(time, datetime) else datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
