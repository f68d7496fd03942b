"""Where the story of a job is shown while it happens: plain lines anywhere, or lines above a live bar on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from typing_extensions import override

from heavyjobs.cli.phrases import progress_of, status_line
from heavyjobs.cli.render import colourful

if TYPE_CHECKING:
    from rich.console import RenderableType

STATUS_EVERY_SECONDS: Final = 10.0
"""Without a terminal, statuses become lines no more often than this."""

BAR_COLUMNS: Final = 24


class Screen(Protocol):
    """Enter it before the first line."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...

    def line(self, text: str, *, end: str = "\n") -> None:
        """Show a line, which is safe already."""
        ...

    def status(self, status: Any, *, stamp: str) -> None:
        """Show the latest status instead of the one before; None takes it away. `stamp` goes before it in a line."""
        ...

    def waits(self, reason: str) -> None:
        """Show what is waited for, where that is not a line in the way of others."""
        ...


class PlainScreen(Screen):
    """Lines on stdout.

    Args:
        flush: whether somebody waits for each line.
        statuses: whether statuses are shown at all.
    """

    def __init__(self, *, flush: bool, statuses: bool) -> None:
        self._flush: Final = flush
        self._statuses: Final = statuses
        self._next_status = 0.0

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *exc_info: object) -> None:
        pass

    @override
    def line(self, text: str, *, end: str = "\n") -> None:
        sys.stdout.write(text + end)
        if self._flush:
            sys.stdout.flush()

    @override
    def status(self, status: Any, *, stamp: str) -> None:
        now = time.monotonic()
        if status is not None and self._statuses and now >= self._next_status:
            self._next_status = now + STATUS_EVERY_SECONDS
            self.line(stamp + status_line(status))

    @override
    def waits(self, reason: str) -> None:
        pass


class LiveScreen(Screen):
    """Lines that scroll by above the latest status."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live: Final = Live(console=Console(highlight=False, markup=False), auto_refresh=False, transient=True)
        self._unfinished = ""

    @override
    def __enter__(self) -> Self:
        self._live.start()
        return self

    @override
    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    @override
    def line(self, text: str, *, end: str = "\n") -> None:
        from rich.text import Text

        self._unfinished += text
        if end:
            self._live.console.print(Text.from_ansi(self._unfinished), soft_wrap=True)
            self._unfinished = ""

    @override
    def status(self, status: Any, *, stamp: str) -> None:
        self._live.update("" if status is None else _bar(status), refresh=True)

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
