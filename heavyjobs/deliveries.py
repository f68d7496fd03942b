"""Outputs for places elsewhere: written in the job's workspace, sent by parts, published by the upload's completion.

Guarantees: as `outputs.py` does: at the target is nothing, what was there before, or the finished output, and it is published
only while the claim is held. What a killed job leaves is an upload that was not completed, which nobody sees; its parts are not
used again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar, Final

from loguru import logger

from heavyjobs.errors import TargetExists, WorkError
from heavyjobs.model import ClaimKey
from heavyjobs.outputs import Output, remove
from heavyjobs.storage import ANY, NEW, AlreadyThere, Notes, NotThere, Part, Storage, StorageFailed
from heavyjobs.storage.patience import patiently
from heavyjobs.storage.protocol import part_bytes

PART_BYTES: Final = 8 << 20


class Delivery:
    """An output on its way to a place elsewhere; used as `outputs.Staged` is.

    Raises:
        TargetExists: at once, when it may not be replaced.
        StorageFailed: the place cannot be asked.
    """

    resumable: ClassVar[bool] = False

    def __init__(self, place: Storage, key: str, *, text: str, workspace: Path, claim: ClaimKey, replace: bool) -> None:
        self._place: Final = place
        self._key: Final = key
        self._text: Final = text
        self._condition: Final = ANY if replace else NEW
        self._notes: Final = Notes(mtime=float(int(time.time())), maker=f"{claim.job.hex}-{claim.number}")
        self._upload: str | None = None
        self._parts: Final[list[Part]] = []
        self.output: Final = Output(workspace / (key.rpartition("/")[2] or "output"))
        if not replace and patiently(lambda: place.stat(key), pause=time.sleep) is not None:
            raise TargetExists(self._taken())

    def begin(self, *, resume: bool) -> None:
        """There is nothing to go on with: each invocation has a workspace of its own."""

    def sync(self) -> None:
        """Send what was written, so that only its completion is left.

        Raises:
            WorkError: nothing was written, or something else than a file.
        """
        path = self.output.path
        if path.is_symlink() or not path.is_file():
            raise WorkError(f"{self._text}: no file was written; elsewhere an output is one file, a tree goes by storage.copy")
        self.output.bytes = path.stat().st_size
        size = part_bytes(self.output.bytes, wanted=PART_BYTES, limits=self._place.limits)
        self._upload = patiently(lambda: self._place.begin(self._key, notes=self._notes), pause=time.sleep)
        with path.open("rb") as file:
            for number, start in enumerate(range(0, self.output.bytes or 1, size), start=1):
                self._send(number, start, file.read(size))

    def publish(self) -> None:
        """Complete it, for good.

        Raises:
            TargetExists: it came meanwhile and may not be replaced; it was not touched.
        """
        try:
            patiently(self._commit, pause=time.sleep)
        except (AlreadyThere, NotThere) as failed:
            if not self._is_there():  # or an answer was lost
                raise TargetExists(self._taken()) if isinstance(failed, AlreadyThere) else failed from None
        self._upload = None

    def discard(self) -> None:
        """Leave nothing behind but what was published; harmless when repeated."""
        upload, self._upload = self._upload, None
        if upload is not None:
            self._forget(upload)
        remove(self.output.path)
        self._place.close()

    def _forget(self, upload: str) -> None:
        """As well as can be: something else went wrong before, and that is what counts."""
        try:
            self._place.abort(self._key, upload)
        except StorageFailed as failed:
            logger.warning("an upload could not be taken back: {}", failed)

    def _send(self, number: int, start: int, data: bytes) -> None:
        upload = self._upload or ""
        part = patiently(
            lambda: self._place.put_part(self._key, upload, number=number, start=start, data=data), pause=time.sleep
        )
        self._parts.append(part)

    def _commit(self) -> None:
        self._place.commit(self._key, self._upload or "", self._parts, notes=self._notes, condition=self._condition)

    def _is_there(self) -> bool:
        there = patiently(lambda: self._place.stat(self._key), pause=time.sleep)
        if there is None or there.bytes != self.output.bytes:
            return False
        return there.notes.maker == self._notes.maker if self._place.keeps_notes else there.notes.mtime == self._notes.mtime

    def _taken(self) -> str:
        return f"{self._text} exists and was not touched; use another target, or say that it is to be replaced"
