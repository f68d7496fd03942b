"""One thing on its way to a place that takes it only from its first byte to its last.

Guarantees: parts that come from several threads are written in their order; what broke off is dropped, never published.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from heavyjobs.storage.failures import Broken, Unreachable, Unusable
from heavyjobs.storage.fsspec_failures import said
from heavyjobs.storage.fsspec_url import Opened
from heavyjobs.storage.packages import needed
from heavyjobs.storage.protocol import Part

BLOCK_BYTES: Final = 8 << 20
"""Of what is sent at a time."""


class Stream:
    """An upload; `hidden` is where it is written if the place can move it to `path` afterwards."""

    def __init__(self, key: str, hidden: str, path: str, opened: Opened) -> None:
        self._key: Final = key
        self._path: Final = path
        with said(key):
            self._fs: Final = opened.connect()
        self._opened_by: Final = opened
        self._moves: Final = can_move(self._fs)
        self._at: Final = hidden if self._moves else path
        self._turn: Final = threading.Condition()
        self._file: Any = None
        self._broken = False
        self.published = False
        self.parts: Final[list[Part]] = []

    def write(self, number: int, data: bytes) -> None:
        """Write a part when its turn has come.

        Raises:
            Broken: this one or one before it could not be written.
        """
        with self._turn:
            self._turn.wait_for(lambda: self._broken or len(self.parts) + 1 == number)
            self._check()
        # Nobody else has this turn, and a write that stalls must not hold up whoever gives the stream up.
        with self._in_one_go():
            self._opened().write(data)
        with self._turn:
            self.parts.append(Part(number, len(data), ""))
            self._turn.notify_all()

    def check(self, count: int) -> None:
        """Complete what was written, and make sure that the place has so many bytes, where that shows before it counts."""
        self._check()
        if self._file is None or self._file.closed:
            return self._check_size(count)
        if not self._moves:
            return None
        self._complete()
        return self._check_size(count)

    def publish(self, *, replace: bool) -> None:
        """Make it what the key holds."""
        if self._moves:
            self._move(replace=replace)
        else:
            self._complete()
        self.published = True

    def give_up(self) -> None:
        """Let nobody wait for a turn that will not come."""
        with self._turn:
            self._broken = True
            self._turn.notify_all()

    def drop(self, *, quietly: bool = False) -> None:
        """Forget what was written, without making it count; quietly: without a word to the server."""
        self.give_up()
        file, self._file = self._file, None
        if file is not None and not file.closed:
            with suppress(Exception):
                _discard(file, direct=not self._moves, quietly=quietly)
        self._opened_by.disconnect(self._fs)

    def _move(self, *, replace: bool) -> None:
        with said(self._key):
            try:
                _move(self._fs, self._at, self._path, replace=replace)
            except Exception:
                # Some servers move nothing over what is there; then there is a moment with neither.
                if not (replace and self._fs.exists(self._path) and self._fs.exists(self._at)):
                    raise
                self._fs.rm_file(self._path)
                _move(self._fs, self._at, self._path, replace=replace)

    def _check(self) -> None:
        if self._broken:
            raise Broken(self._key, "an earlier part could not be written")

    def _check_size(self, count: int) -> None:
        if self._moves:
            with said(self._key):
                self._fs.invalidate_cache()
                if self._fs.info(self._at)["size"] != count:
                    raise Unusable(self._key, "the server lost bytes that it had taken")

    def _opened(self) -> Any:
        if self._file is None:
            self._file = self._fs.open(self._at, "wb", block_size=BLOCK_BYTES)
        return self._file

    def _complete(self) -> None:
        with self._in_one_go():
            self._opened().close()

    @contextmanager
    def _in_one_go(self) -> Generator[None]:
        """What cannot be repeated: after trouble, all of it is to be sent again."""
        try:
            with said(self._key):
                yield
        except BaseException as error:
            self.give_up()
            if isinstance(error, Unreachable):
                raise Broken(self._key, error.what) from None
            raise


def can_move(fs: Any) -> bool:
    """Whether a place moves by itself; else fsspec would copy, which shows what is half copied."""
    own: Any = fs.__class__
    return own.mv is not needed("fsspec", extra="fsspec").AbstractFileSystem.mv


def _move(fs: Any, old: str, new: str, *, replace: bool) -> None:
    """WebDAV has a verb for it, of which its package makes a copy and a removal."""
    if hasattr(fs, "client") and hasattr(fs.client, "move"):
        fs.client.move(old, new, overwrite=replace)
    else:
        fs.mv(old, new)


def _discard(file: Any, *, direct: bool, quietly: bool) -> None:
    """Drop a file that is being written: to close it would complete it, and so would its end."""
    buffered = isinstance(file, needed("fsspec.spec", extra="fsspec").AbstractBufferedFile)
    if buffered:
        if direct and not quietly:
            file.discard()
        file.closed = True
    elif hasattr(file, "discard"):
        file.discard()
    elif not direct:
        file.close()
