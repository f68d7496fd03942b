"""Archives as members, read front to back; what is damaged or hostile stops the job."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heavyjobs.jobs.codecs import Format, reading
from heavyjobs.jobs.members import Data, Member
from heavyjobs.jobs.places import open_regular
from heavyjobs.jobs.read_tar import tar_members
from heavyjobs.jobs.read_zip import ZipMembers, open_zip


@dataclass(frozen=True, slots=True)
class Reading:
    """An archive that is being read.

    Attributes:
        members: each with its bytes if it is a file, to be read before the next one is asked for.
        total, position: bytes in all and read so far: of the archive's file for a tar, of the files in it for a zip.
    """

    members: Iterator[tuple[Member, Data | None]]
    total: int
    position: Callable[[], int]


@contextmanager
def reading_archive(path: Path, form: Format, *, where: str) -> Generator[Reading]:
    """Open an archive.

    Raises:
        Stopped: Unreadable or Refused, at once or from the members.
    """
    with open_regular(path.resolve()) as file:
        if form.container == "zip":
            members = ZipMembers(open_zip(file, where=where), where=where)
            yield Reading(iter(members), members.total, lambda: members.read)
        else:
            with reading(file, form.compression, where=where) as stream:
                yield Reading(tar_members(stream, where=where), os.fstat(file.fileno()).st_size, file.tell)
