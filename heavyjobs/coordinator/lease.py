"""Give claims up before they can be taken: a lease that only good ticks renew, watched by a thread.

The thread does not depend on the event loop (a two-second timeout around a query to a frozen server came back after seven), and
the guardian holds the same lease in another process, should this one be stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from heavyjobs.slots.guardian import Guardian, boot_seconds


class Lease:
    """Calls `on_lapse` once, in its own thread, when no renewal came in time.

    Args:
        seconds: how long it holds, counted from the start of the last good tick.
    """

    def __init__(self, seconds: float, guardian: Guardian, *, on_lapse: Callable[[], None]) -> None:
        self.lapsed = threading.Event()
        self._seconds = seconds
        self._guardian = guardian
        self._on_lapse = on_lapse
        self._until = boot_seconds() + seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heavyjobs-lease", daemon=True)

    def __enter__(self) -> Lease:
        self._guardian.renew(self._until)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def renew(self, tick_began: float) -> None:
        """A tick that began then (`boot_seconds`) has succeeded."""
        self._until = tick_began + self._seconds
        self._guardian.renew(self._until)

    @property
    def holds(self) -> bool:
        return boot_seconds() < self._until and not self.lapsed.is_set()

    def _watch(self) -> None:
        # Waits on the monotonic clock, which stands still while the machine sleeps: so it looks at least every second.
        while not self._over.wait(min(1.0, max(0.0, self._until - boot_seconds()))):
            if boot_seconds() >= self._until:
                self.lapsed.set()
                self._on_lapse()
                return
