"""One event loop in a background thread, which many threads call into.

It guarantees
- that what the loop owns is entered and left in one task of it, whatever threads open and close;
- that no caller waits for ever: closing ends every call with an error, and a call after that, or in a forked child where the
  thread does not exist, is refused;
- that a program that forgets to close ends all the same.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Generic, TypeVar

from heavyjobs.errors import UsageError

T = TypeVar("T")
V = TypeVar("V")


class Bridge(Generic[T]):
    """Keeps what `enter` makes entered, on a loop of its own, until it is closed.

    Attributes:
        value: what was entered; outside of `call` and `iterate` only for what is safe in any thread.

    Raises:
        What entering raises; then nothing is left running.
    """

    def __init__(self, enter: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._pid: Final = os.getpid()
        self._lock: Final = threading.Lock()
        self._closed = False
        self._calls: Final[set[Future[Any]]] = set()
        self._stop: Final = asyncio.Event()
        self._entered: Final = Future[tuple[asyncio.AbstractEventLoop, T]]()
        self._left: Final = Future[None]()
        self._thread: Final = threading.Thread(target=self._run, args=(enter,), name="heavyjobs client", daemon=True)
        self._thread.start()
        self._loop, self.value = self._entered.result()

    def call(self, verb: Coroutine[Any, Any, V]) -> V:
        """Run it on the loop and wait for it; an interrupt (Ctrl-C) while waiting cancels it.

        Raises:
            UsageError: closed, before or meanwhile.
        """
        future = self._scheduled(verb)
        try:
            return future.result()
        except CancelledError:
            raise UsageError("the client was closed while it was asked; what jobs do is not changed by that") from None
        finally:
            future.cancel()
            self._calls.discard(future)

    def iterate(self, items: AsyncGenerator[V, None]) -> Generator[V]:
        """The same for something to iterate over, step by step; leaving it early ends it."""
        try:
            while step := self.call(_step(items)):
                yield step[0]
        finally:
            with suppress(UsageError):  # closed: the loop ended it
                self.call(_end(items))

    def close(self) -> None:
        """Leave what was entered and end the thread; calls that wait end with an error. Harmless when it is closed."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for call in list(self._calls):
                call.cancel()
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._left.result()

    def _scheduled(self, verb: Coroutine[Any, Any, V]) -> Future[V]:
        # Before the lock is touched, which another thread may have held when this process was forked.
        if os.getpid() != self._pid:
            raise self._refused(verb, "the client was opened before this process was forked; open one in each process")
        if threading.current_thread() is self._thread:
            raise self._refused(verb, "a blocking client cannot be used on its own event loop; use Client there")
        with self._lock:
            if self._closed:
                raise self._refused(verb, "the client is closed; open another")
            future = asyncio.run_coroutine_threadsafe(verb, self._loop)
            self._calls.add(future)
            return future

    @staticmethod
    def _refused(verb: Coroutine[Any, Any, Any], why: str) -> UsageError:
        verb.close()
        return UsageError(why)

    def _run(self, enter: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        try:
            asyncio.run(self._host(enter))
        except BaseException as error:  # noqa: BLE001  # not handled but handed on, to the thread that opens or closes
            (self._left if self._entered.done() else self._entered).set_exception(error)
        else:
            self._left.set_result(None)

    async def _host(self, enter: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        async with enter() as value:
            self._entered.set_result((asyncio.get_running_loop(), value))
            await self._stop.wait()


async def _step(items: AsyncGenerator[V, None]) -> tuple[V] | None:
    async for item in items:
        return (item,)
    return None


async def _end(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
