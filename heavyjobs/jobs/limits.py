"""How much an archive may become: a few kilobytes can unpack to more than any disk holds.

All bounds hold together, and count what is written and named, never what the archive says of itself. A ratio alone would refuse
real archives: text of 30 to 1 is common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from heavyjobs.units import show_bytes

RATIO_FROM_BYTES: Final = 1 << 30
"""Less than this harms nobody, whatever the ratio."""


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
