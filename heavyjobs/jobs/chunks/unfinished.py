"""What a split keeps beside the chunks while it goes on: its list of them so far, and those that are not the store's yet.

It lies in a hidden folder of the store, named after the claim like an unfinished output. The list stays there when the job is
halted or dies, because its next attempt goes on from it; a checkpoint says how much of it holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from heavyjobs import durable
from heavyjobs.jobs.kept import removed_unless
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.trouble import RETRIED, Stopped
from heavyjobs.model import ClaimKey
from heavyjobs.parts import part_name
from heavyjobs.shielding import Shield, surely

_LIST: Final = "list"


class Unfinished:
    """The hidden folder of one claim.

    Attributes:
        folder: where chunks wait.
        list: the lines of the manifest so far; opened to append.
    """

    def __init__(self, store: Path, claim: ClaimKey) -> None:
        self._store: Final = store
        self._claim: Final = claim
        self.folder: Final = store / _name(claim)
        self._list: BinaryIO | None = None

    @property
    def list(self) -> BinaryIO:
        assert self._list is not None  # noqa: S101 - it was begun
        return self._list

    def begin(self) -> None:
        """Make it, with an empty list."""
        self.folder.mkdir()
        self._list = (self.folder / _LIST).open("xb")

    def adopt(self, number: int, size: int) -> bool:
        """Begin the list with so many bytes of what the claim of that number left; False when they are not there."""
        left = self._store / _name(ClaimKey(self._claim.job, number)) / _LIST
        try:
            with left.open("rb") as file:
                if os.fstat(file.fileno()).st_size < size:
                    return False
                _copy(file, self.list, size)
        except FileNotFoundError:
            return False
        self.list.flush()
        durable.sync_tree(self.folder)
        return True

    def sweep_earlier(self) -> None:
        """Remove what earlier claims of this job left."""
        stem = _name(self._claim).rpartition("-")[0]
        for path in self._store.glob(f"{stem}-*"):
            if path != self.folder:
                shutil.rmtree(path, ignore_errors=True)

    def list_sha256(self) -> str:
        """Of the lines so far."""
        self.list.flush()
        with (self.folder / _LIST).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def copy_list(self, into: Callable[[bytes], object]) -> None:
        """Give the lines so far, piece by piece."""
        self.list.flush()
        with (self.folder / _LIST).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                into(data)

    def end(self) -> None:
        """Close the list, and remove all else; harmless when repeated."""
        if self._list is not None:
            self._list.close()
        for path in self.folder.glob("*"):
            if path.name != _LIST:
                path.unlink(missing_ok=True)

    def remove(self, shield: Shield) -> None:
        with shield():
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def unfinished(store: Path, claim: ClaimKey, *, shield: Shield) -> Generator[Unfinished]:
    """The hidden folder, gone after the block when the work is done or hopeless; else its list stays for the next attempt."""
    made = Unfinished(store, claim)
    with surely(made.end, shield=shield):
        with shield():
            made.begin()
        with removed_unless(_is_of_use, lambda: made.remove(shield)):
            yield made


def _is_of_use(error: BaseException) -> bool:
    """Whether a next attempt, also one that `retry` sends after a cancel, can go on."""
    return not isinstance(error, Stopped) or isinstance(error.trouble, RETRIED)


def _name(claim: ClaimKey) -> str:
    return part_name("", claim, sort="split")


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    left = size
    while left and (data := source.read(min(CHUNK_BYTES, left))):
        left -= target.write(data)
