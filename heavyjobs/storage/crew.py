"""A few threads that move bytes while the job's own thread digests, reports and decides.

Guarantees: answers come in the order of the tasks; no more than `hands` + 1 tasks are begun before the first one's answer was
taken, so memory is bounded. When the block around the answers is left, `stopped` is set, and threads end with the piece that
they are at: they are daemons, for a read that stalls must not hold up a job that was cancelled.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Stopped(BaseException):
    """Raised in a thread of the crew whose work nobody waits for any more."""


@dataclass(slots=True)
class _Box(Generic[T, U]):
    """A task, and later its answer or the error instead."""

    task: T
    done: SimpleQueue[None] = field(default_factory=SimpleQueue[None])
    answer: list[U] = field(default_factory=list[U])
    error: BaseException | None = None


class Crew:
    """How many hands work at once, and how far they may be ahead."""

    def __init__(self, hands: int) -> None:
        self._hands: Final = hands
        self.stopped: Final = threading.Event()

    def check(self) -> None:
        """To be called between pieces of work.

        Raises:
            Stopped: nobody waits for it any more.
        """
        if self.stopped.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait, but not when stopped."""
        self.stopped.wait(seconds)
        self.check()

    def in_order(self, tasks: Iterable[T], do: Callable[[T], U]) -> Generator[tuple[T, U]]:
        """Do all tasks, `hands` at a time; tasks are taken in the caller's thread, as late as possible.

        Raises:
            Exception: what `do` raised for the first task that has no answer; later ones are given up.
        """
        waiting: SimpleQueue[_Box[T, U] | None] = SimpleQueue()
        begun: deque[_Box[T, U]] = deque()
        threads = 0
        try:
            for task in tasks:
                begun.append(_Box[T, U](task))
                waiting.put(begun[-1])
                if threads < self._hands:
                    threads += 1
                    threading.Thread(target=_work, args=(waiting, do), daemon=True, name=f"storage {threads}").start()
                if len(begun) > self._hands:
                    yield _answered(begun.popleft())
            while begun:
                yield _answered(begun.popleft())
        except BaseException:
            self.stopped.set()
            raise
        finally:
            for _ in range(threads):
                waiting.put(None)


def _work(waiting: SimpleQueue[_Box[T, U] | None], do: Callable[[T], U]) -> None:
    while (box := waiting.get()) is not None:
        try:
            box.answer.append(do(box.task))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            box.error = error
        box.done.put(None)


def _answered(box: _Box[T, U]) -> tuple[T, U]:
    box.done.get()
    if box.error is not None:
        raise box.error
    return box.task, box.answer[0]
