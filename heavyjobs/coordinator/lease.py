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

    def __init__(
        self,
        seconds: float,
        guardian: Guardian,
        *,
        on_lapse: Callable[[], None],
        now: Callable[[], float] = boot_seconds,
    ) -> None:
        self.lapsed = threading.Event()
        self._seconds = seconds
        self._now = now
        self._guardian = guardian
        self._on_lapse = on_lapse
        self._until = now() + seconds
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
        """A tick that began then (`boot_seconds`) has succeeded; too late for a lease that has run out, looked at or not.

        A machine that wakes up may tick before anyone looks at the lease: the guardian would end the trees, and their jobs be
        charged with crashes here.
        """
        if self.holds:
            self._until = tick_began + self._seconds
            self._guardian.renew(self._until)

    @property
    def holds(self) -> bool:
        return self._now() < self._until and not self.lapsed.is_set()

    def look(self) -> float | None:
        """Lapse if it is time to; seconds until the next look, None when there is no need of one."""
        left = self._until - self._now()
        if left > 0:
            # Waits are on the monotonic clock, which stands still while the machine sleeps: so it looks at least every second.
            return min(1.0, left)
        self.lapsed.set()
        self._on_lapse()
        return None

    def _watch(self) -> None:
        rest = self.look()
        while rest is not None and not self._over.wait(rest):
            rest = self.look()
