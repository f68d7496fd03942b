"""What a worker and its coordinator tell each other through memory that they share.

The lane says whose step it is running, so that it is known whatever happens in that step: the process may be gone, or stuck in
C code that holds the interpreter's lock. A slot's job is told why it is to stop, ahead of the signal, which cannot carry that.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from typing_extensions import override

from heavyjobs.events import Stop

_NUMBER: Final = struct.Struct("=I")
_BYTES: Final = _NUMBER.size + 1
_STOPS: Final = (None, *Stop)

T = TypeVar("T")


def shared_memory() -> int:
    """A descriptor of as much memory as a `Mark` takes; to be closed when both sides have made theirs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("heavyjobs-step")
        os.ftruncate(descriptor, _BYTES)
        return descriptor
    with tempfile.TemporaryFile() as file:
        file.write(bytes(_BYTES))
        file.flush()
        return os.dup(file.fileno())


class Mark:
    """The number of the invocation whose step is running, 0 where none is, or the code of none; and why a slot's is to stop."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _BYTES)

    def set(self, reference: int) -> None:
        _NUMBER.pack_into(self._memory, 0, reference)

    def get(self) -> int:
        reference: int = _NUMBER.unpack_from(self._memory)[0]
        return reference

    def ask(self, stop: Stop | None) -> None:
        """Say why the invocation is about to be asked to stop; None: it is not."""
        self._memory[_NUMBER.size] = _STOPS.index(stop)

    def asked(self) -> Stop | None:
        """Why; None where nobody has said so, and of what is none of ours: any code in the worker may write here."""
        number = self._memory[_NUMBER.size]
        return _STOPS[number] if number < len(_STOPS) else None

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
