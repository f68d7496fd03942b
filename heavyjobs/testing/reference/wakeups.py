"""Hints of the reference store: at most one for each topic waits to be taken, and none names anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, Self

from heavyjobs.store.records import Topic, WakeUp


class Listener:
    """One subscriber's end."""

    def __init__(self, topics: Collection[Topic]) -> None:
        self._topics: Final = frozenset(topics)
        self._pending: Final = dict[Topic, None]()
        self._came: Final = asyncio.Event()

    def tell(self, topic: Topic) -> None:
        if topic in self._topics:
            self._pending[topic] = None
            self._came.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WakeUp:
        while not self._pending:
            self._came.clear()
            await self._came.wait()
        topic = next(iter(self._pending))
        del self._pending[topic]
        return WakeUp(topic)
