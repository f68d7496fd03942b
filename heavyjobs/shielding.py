"""Clean up for sure, although a request to stop can be raised between any two instructions.

`CancelRequested` comes from a signal handler, at most once, at any point of the main thread, a `finally` included. A *shield*
is a block that holds it back until it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Shield: TypeAlias = Callable[[], AbstractContextManager[None]]


@contextmanager
def surely(cleanup: Callable[[], None], *, shield: Shield) -> Generator[None]:
    """Run `cleanup`, which may run twice, whichever way the block is left."""
    try:
        try:
            yield
        finally:
            with shield():
                cleanup()
    except BaseException:
        # The request may have come after the block and before the shield; it comes once, so this time nothing interrupts.
        with shield():
            cleanup()
        raise
