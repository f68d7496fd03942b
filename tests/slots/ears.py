"""One worker and one who listens to it, as an invocation of a coordinator would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from heavyjobs import events
from heavyjobs.events import Ended, Run, WorkerOptions
from heavyjobs.logs import decode_chunk, join_lines
from heavyjobs.model import LogLine, new_id
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.values import NULL, JsonText, encode

ROOT: Final = Path(__file__).parents[2]
DEEDS: Final = "tests.slots.deeds"
DEADLINE_SECONDS: Final = 20.0


class Ear:
    """Hears what comes of one invocation.

    Attributes:
        ends: everything that ended it; there must be one.
        answer: what it is answered when it asks.
    """

    def __init__(self, worker: WorkerProcess, *, answer: Callable[[events.Request], JsonText] = lambda _: NULL) -> None:
        self.reference = 0
        self.statuses: Final[list[JsonText]] = []
        self.ends: Final[list[Ended | Death]] = []
        self.requests: Final[list[events.Request]] = []
        self.has_started = False
        self.has_blocked = False
        self._worker = worker
        self._answer = answer
        self._encoded: Final[list[bytes]] = []
        self._news = asyncio.Event()

    def started(self) -> None:
        self.has_started = True
        self._news.set()

    def status(self, status: JsonText) -> None:
        self.statuses.append(status)
        self._news.set()

    def line(self, line: bytes) -> None:
        self._encoded.append(line)
        self._news.set()

    def asked(self, asked: events.Asked) -> None:
        self.requests.append(asked.request)
        self._worker.answer(self.reference, events.Answer(number=asked.number, value=self._answer(asked.request)))
        self._news.set()

    def ended(self, ended: Ended) -> None:
        self.ends.append(ended)
        self._news.set()

    def gone(self, death: Death) -> None:
        self.ends.append(death)
        self._news.set()

    def blocks(self) -> None:
        self.has_blocked = True
        self._news.set()

    # -- for tests

    @property
    def heard(self) -> int:
        """How many lines, or parts of lines."""
        return len(self._encoded)

    @property
    def lines(self) -> list[LogLine]:
        return list(decode_chunk(1, 0, join_lines(self._encoded)))

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for news until it holds."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def hears(self, text: str) -> None:
        """Wait until a line has the text."""
        needle = text.encode()
        await self.until(lambda: any(needle in line for line in self._encoded))

    async def end(self) -> Ended:
        """Its end by the worker's word."""
        await self.until(lambda: bool(self.ends))
        (ended,) = self.ends
        assert isinstance(ended, Ended), f"{ended}: {self.texts}"
        return ended

    async def death(self) -> Death:
        """Its end by the death of its worker."""
        await self.until(lambda: bool(self.ends))
        (death,) = self.ends
        assert isinstance(death, Death), f"{death}: {self.texts}"
        return death


async def start(*, lane: bool = False, **options: Any) -> WorkerProcess:
    """A warm worker."""
    told = WorkerOptions(marker=uuid4().hex, modules=(DEEDS,), path=(str(ROOT),), **options)
    worker = await WorkerProcess.start("test", told, preload=(DEEDS,), lane=lane)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await worker.warm.wait()
    return worker


def run(
    worker: WorkerProcess,
    deed: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    memory_bytes: int | None = None,
    answer: Callable[[events.Request], JsonText] = lambda _: NULL,
) -> Ear:
    """Have the worker do one of the deeds."""
    ear = Ear(worker, answer=answer)
    kind = kind or ("tests.async_deed" if worker.lane else "tests.deed")
    parameters = encode({"name": deed, "arguments": dict(arguments or {})}, what=kind, max_bytes=1 << 20)
    told = Run(
        job=new_id(),
        claim=1,
        kind=kind,
        version=1,
        parameters=parameters,
        attempt=1,
        attempts=3,
        epoch=1,
        depth=0,
        queue="default",
        memory_bytes=memory_bytes,
        checkpoint=None,
    )
    ear.reference = worker.run(told, ear)
    return ear
