"""Members into archives, written front to back."""

from __future__ import annotations

import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from heavyjobs.jobs.codecs import Format, compressing
from heavyjobs.jobs.members import Data, Member
from heavyjobs.jobs.write_tar import TarWriter
from heavyjobs.jobs.write_zip import ZipWriter


class Writer(Protocol):
    """Takes members one after the other."""

    def add(self, member: Member, data: Data | None) -> None:
        """Write a member and exactly the bytes that it says it has."""
        ...

    def pass_over(self, member: Member) -> None:
        """Take for written what an earlier writer has sealed: its members, before all others and in their order."""
        ...

    def seal(self) -> None:
        """Let what was written stand without what follows, so that another writer can go on behind it."""
        ...


@contextmanager
def writing_archive(file: BinaryIO, form: Format, *, where: str) -> Generator[Writer]:
    """Make an archive of that format from where the file stands, complete when the block is left cleanly.

    Args:
        file: empty, or at the end of what an earlier writer has sealed, and cut off there.
        where: names it in errors.
    """
    if form.container == "zip":
        opened = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        try:
            yield ZipWriter(opened, file, where)
        except BaseException:  # passed on
            opened.fp = None  # or closing it, as its finalizer does, would complain about the member that is half written
            raise
        opened.close()
    else:
        with compressing(file, form.compression) as stream:
            writer = TarWriter(stream)
            yield writer
            writer.end()
