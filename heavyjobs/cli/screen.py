"""Where the story of a job is shown while it happens: plain lines anywhere, or lines above a live bar on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from typing_extensions import override

from heavyjobs.cli.phrases import progress_of, status_line
from heavyjobs.cli.render import colourful, stamp

if TYPE_CHECKING:
    from rich.console import RenderableType

STATUS_EVERY_SECONDS: Final = 5.0
"""Without a terminal, statuses become lines no more often than this, the last one of an attempt aside."""

BAR_COLUMNS: Final = 24


class Screen(Protocol):
    """Enter it before the first line. Times are seconds since 1970."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...

    def line(self, text: str, *, at: float = 0.0, end: str = "\n") -> None:
        """Show a line, which is safe already and happened at that time."""
        ...

    def status(self, status: Any, *, at: float) -> None:
        """Show the latest status, known since then, instead of the one before."""
        ...

    def idle(self) -> None:
        """Nothing new comes for the moment."""
        ...

    def over(self, *, at: float) -> None:
        """What the statuses were of ended then."""
        ...

    def waits(self, reason: str) -> None:
        """Show what is waited for, where that is not a line in the way of others."""
        ...


class PlainScreen(Screen):
    """Lines on stdout, in the order of their times as well as that is known.

    A status has none of its own: it becomes a line once nothing older can come, which a later line or a pause shows.

    Args:
        flush: whether somebody waits for each line.
        statuses: whether statuses are shown at all.
    """

    def __init__(self, *, flush: bool, statuses: bool) -> None:
        self._flush: Final = flush
        self._statuses: Final = statuses
        self._status: Any = None
        self._status_at = 0.0
        self._next_status = 0.0
        self._latest = 0.0
        self._unfinished = False

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *exc_info: object) -> None:
        pass

    @override
    def line(self, text: str, *, at: float = 0.0, end: str = "\n") -> None:
        if at >= self._status_at:
            self.idle()
        self._latest = max(self._latest, at)
        self._unfinished = not end
        self._write(text + end)

    @override
    def status(self, status: Any, *, at: float) -> None:
        self.idle()
        self._status, self._status_at = status, at

    @override
    def idle(self) -> None:
        if time.monotonic() >= self._next_status and not self._unfinished:
            self._tell_status(at=max(self._status_at, self._latest))

    @override
    def over(self, *, at: float) -> None:
        self._tell_status(at=min(at, max(self._status_at, self._latest)))

    def _tell_status(self, *, at: float) -> None:
        status, self._status = self._status, None
        if status is not None and self._statuses:
            self._next_status = time.monotonic() + STATUS_EVERY_SECONDS
            self._write(f"{stamp(at)}{status_line(status)}\n")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        if self._flush:
            sys.stdout.flush()

    @override
    def waits(self, reason: str) -> None:
        pass


class LiveScreen(Screen):
    """Lines that scroll by above the latest status."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live: Final = Live(
            console=Console(highlight=False, markup=False),
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # remarks that go elsewhere stay there
        )
        self._unfinished = ""

    @override
    def __enter__(self) -> Self:
        self._live.start()
        return self

    @override
    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    @override
    def line(self, text: str, *, at: float = 0.0, end: str = "\n") -> None:
        from rich.text import Text

        self._unfinished += text
        if end:
            self._live.console.print(Text.from_ansi(self._unfinished), soft_wrap=True)
            self._unfinished = ""

    @override
    def status(self, status: Any, *, at: float) -> None:
        self._live.update(_bar(status), refresh=True)

    @override
    def idle(self) -> None:
        pass

    @override
    def over(self, *, at: float) -> None:
        self._live.update("", refresh=True)

    @override
    def waits(self, reason: str) -> None:
        self._live.update(reason, refresh=True)


def _bar(status: Any) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    text = Text(status_line(status), no_wrap=True, overflow="ellipsis")
    if (progress := progress_of(status)) is None:
        return text
    done, total = progress
    row = Table.grid(padding=(0, 2))
    row.add_row(ProgressBar(total=total, completed=min(done, total), width=BAR_COLUMNS), text)
    return row


def screen_for(*, follow: bool, plain: bool) -> Screen:
    """The screen that fits; `plain` asks for nothing but the lines."""
    if follow and not plain and colourful():
        return LiveScreen()
    return PlainScreen(flush=follow, statuses=follow and not plain)
