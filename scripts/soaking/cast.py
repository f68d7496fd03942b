"""Who takes part in a soak, and how patient they are with each other."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

StoreName: TypeAlias = Literal["sqlite", "postgres"]

HOSTS: Final = ("alder", "birch", "cedar")
STEADY: Final = "cedar"
"""Never killed or drained, so that its memory and descriptors can be watched; all else happens to it too."""

CLIENT: Final = "client"
DATABASE: Final = "database"

TICK_SECONDS: Final = 0.4
LEASE_SECONDS: Final = 2.5
KILL_SECONDS: Final = 1.0
FORFEIT_SECONDS: Final = 4.5
DRAIN_SECONDS: Final = 1.0
