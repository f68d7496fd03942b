"""The times that simulated coordinators are configured with, and how wrong clocks may go."""

from __future__ import annotations

from typing import Final

LEASE_SECONDS: Final = 5.0
KILL_SECONDS: Final = 2.0
FORFEIT_AFTER_SECONDS: Final = 8.7
SLOWEST: Final = 0.9
FASTEST: Final = 1.1
"""(lease + kill) / 0.9 < forfeit_after / 1.1: claims are given up in time although clocks differ by ten percent each way."""

AFTER_WAKING_SECONDS: Final = (1.0 + KILL_SECONDS) / SLOWEST + 0.2
"""The named exception: what wakes up with its machine is looked at within a second, and ended in the time for that."""
