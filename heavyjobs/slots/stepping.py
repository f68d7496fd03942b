"""Say whose step the lane is running, through memory that it shares with its coordinator.

So it is known whatever happens in that step: the process may be gone, or stuck in C code that holds the interpreter's lock.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from typing_extensions import override

_NUMBER: Final = struct.Struct("=I")

T = TypeVar("T")


def shared_memory() -> int:
    """A descriptor of as much memory as a `Mark` takes; to be closed when both sides have made theirs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("heavyjobs-step")
        os.ftruncate(descriptor, _NUMBER.size)
        return descriptor
    with tempfile.TemporaryFile() as file:
        file.write(bytes(_NUMBER.size))
        file.flush()
        return os.dup(file.fileno())


class Mark:
    """The number of the invocation whose step is running; 0 where none is, or the code of none."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _NUMBER.size)

    def set(self, reference: int) -> None:
        _NUMBER.pack_into(self._memory, 0, reference)

    def get(self) -> int:
        reference: int = _NUMBER.unpack_from(self._memory)[0]
        return reference

    def close(self) -> None:
        """Give the memory back; it can be neither set nor read any more."""
        self._memory.close()


class Stepped(Coroutine[Any, Any, T]):
    """A coroutine that leaves its invocation's mark while a step of it runs."""

    def __init__(self, work: Coroutine[Any, Any, T], mark: Mark, reference: int) -> None:
        self._work = work
        self._mark = mark
        self._reference = reference
        self.__qualname__ = getattr(work, "__qualname__", "coroutine")  # asyncio shows it

    @override
    def send(self, value: Any, /) -> Any:
        return self._step(self._work.send, value)

    @override
    def throw(self, *error: Any) -> Any:
        return self._step(self._work.throw, *error)

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        self._mark.set(self._reference)
        try:
            return step(*arguments)
        except (SystemExit, KeyboardInterrupt) as error:
            # They would end the loop, and with it every other job.
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        finally:
            self._mark.set(0)

    @override
    def close(self) -> None:
        self._work.close()

    @override
    def __await__(self) -> Any:
        return self._work.__await__()
