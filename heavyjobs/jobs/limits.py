"""How much an archive may become: a few kilobytes can unpack to more than any disk holds.

All bounds hold together, and count what is written and named, never what the archive says of itself. A ratio alone would refuse
real archives: text of 30 to 1 is common.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field

from heavyjobs.jobs.trouble import Refused, stop
from heavyjobs.units import Size, show_bytes, size_bytes

RATIO_FROM_BYTES: Final = 1 << 30
"""Less than this harms nobody, whatever the ratio."""


MaxBytes: TypeAlias = Annotated[Size, AfterValidator(size_bytes), Field(description="of all files together")]
MaxMembers: TypeAlias = Annotated[int, Field(ge=1)]
MaxRatio: TypeAlias = Annotated[float, Field(gt=0, description="of bytes unpacked to those of the archive, above 1 GiB")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for what one archive unpacks to.

    Attributes:
        bytes: of all files together. members: files, links and folders, those named only on the way to others too.
        ratio: of the bytes written to those of the archive. archive_bytes: of the archive itself.
    """

    bytes: int
    members: int
    ratio: float
    archive_bytes: int

    def bytes_fault(self, written: int) -> str | None:
        """What forbids that so many bytes be written in all, or None."""
        if written > self.bytes:
            return f"unpacks to more than {show_bytes(self.bytes)}"
        if written > RATIO_FROM_BYTES and written > self.ratio * self.archive_bytes:
            return f"unpacks to more than {self.ratio:g} times its own size"
        return None

    def members_fault(self, members: int) -> str | None:
        """What forbids that there be so many members, or None."""
        return f"has more than {self.members:,} members" if members > self.members else None

    def admit(self, *, members: int, bytes_: int, where: str) -> None:
        """Go on with so many members and bytes in all, unless that is too many.

        Raises:
            Stopped: Refused.
        """
        if fault := self.members_fault(members) or self.bytes_fault(bytes_):
            stop(Refused, fault, where=where, would_do="set max_bytes, max_members or max_ratio higher, if you trust it")


def limits(source: Path, *, max_bytes: Size, max_members: int, max_ratio: float) -> Limits:
    """What a job's parameters allow that archive to be."""
    return Limits(bytes=size_bytes(max_bytes), members=max_members, ratio=max_ratio, archive_bytes=source.stat().st_size)
