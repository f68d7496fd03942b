"""Archives as members, read front to back; what is damaged or hostile stops the job."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heavyjobs.context import Context
from heavyjobs.jobs.codecs import Format, reading
from heavyjobs.jobs.foreign import reading_foreign
from heavyjobs.jobs.members import Data, Member
from heavyjobs.jobs.places import open_regular
from heavyjobs.jobs.read_tar import tar_members
from heavyjobs.jobs.read_zip import ZipMembers, open_zip


@dataclass(frozen=True, slots=True)
class Reading:
    """An archive that is being read.

    Attributes:
        members: each with its bytes if it is a file, to be read before the next one is asked for.
        total, position: bytes in all and read so far: of the files in it for a zip, else of the archive's file.
    """

    members: Iterator[tuple[Member, Data | None]]
    total: int
    position: Callable[[], int]


@contextmanager
def reading_archive(
    ctx: Context[Any, Any], path: Path, form: Format, *, where: str, contents: bool = True
) -> Generator[Reading]:
    """Open an archive.

    Args:
        contents: whether the files' bytes are wanted; some formats are listed faster without.

    Raises:
        Stopped: Unreadable, Refused or NotInstalled, at once or from the members.
    """
    with open_regular(path.resolve()) as file:
        size = os.fstat(file.fileno()).st_size
        match form.container:
            case "zip":
                members = ZipMembers(open_zip(file, where=where), where=where)
                yield Reading(iter(members), members.total, lambda: members.read)
            case "tar":
                with reading(file, form.compression, where=where) as stream:
                    yield Reading(tar_members(stream, where=where), size, file.tell)
            case foreign:
                with reading_foreign(ctx, file, foreign, where=where, contents=contents) as told:
                    yield Reading(told.members, size, told.position)
