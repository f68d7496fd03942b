"""Stores that answer late, or whose answers are lost: the real one, with some of its verbs done otherwise."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from heavyjobs.errors import StoreUnavailable
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Claimed

Verb: TypeAlias = Callable[..., Awaitable[Any]]


class _Around:
    def __init__(self, real: Store, verbs: dict[str, Verb]) -> None:
        self._real = real
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        return self._verbs.get(name) or getattr(self._real, name)


def around(real: Store, **verbs: Verb) -> Store:
    return cast("Store", _Around(real, verbs))


def loses_a_claim(real: Store) -> Store:
    """The first claim that takes anything commits, and its answer is lost."""
    lost = asyncio.Event()

    async def claim(*args: Any, **how: Any) -> Sequence[Claimed]:
        claimed = await real.claim(*args, **how)
        if claimed and not lost.is_set():
            lost.set()
            raise StoreUnavailable("the answer was lost")
        return claimed

    return around(real, claim=claim)


class LateClaim:
    """From `begin` on one claim has no answer, and commits just after its coordinator has looked for it and found nothing.

    Others find the job locked meanwhile.
    """

    def __init__(self) -> None:
        self.begin = asyncio.Event()
        self.begun = asyncio.Event()
        self._looked = asyncio.Event()
        self._late: asyncio.Task[Sequence[Claimed]] | None = None

    def __call__(self, real: Store) -> Store:
        async def claim(*args: Any, **how: Any) -> Sequence[Claimed]:
            if self.begin.is_set() and self._late is None:
                self._late = asyncio.create_task(self._commit_late(real, *args, **how))
                self.begun.set()
                raise StoreUnavailable("the answer was lost")
            if self._late is not None and not self._late.done():
                return []
            return await real.claim(*args, **how)

        async def held(*args: Any) -> Sequence[Claimed]:
            found = await real.held(*args)
            self._looked.set()
            if self._late is not None:
                await self._late
            return found

        return around(real, claim=claim, held=held)

    async def _commit_late(self, real: Store, *args: Any, **how: Any) -> Sequence[Claimed]:
        await self._looked.wait()
        return await real.claim(*args, **how)


class SlowAnswer:
    """The first claim that takes anything commits; its answer comes once it is `let_through`."""

    def __init__(self) -> None:
        self.committed = asyncio.Event()
        self.let_through = asyncio.Event()

    def __call__(self, real: Store) -> Store:
        async def claim(*args: Any, **how: Any) -> Sequence[Claimed]:
            claimed = await real.claim(*args, **how)
            if claimed:
                self.committed.set()
                await self.let_through.wait()
            return claimed

        return around(real, claim=claim)


class Counting:
    """Counts the calls of a verb."""

    def __init__(self, verb: str) -> None:
        self.calls: Counter[str] = Counter()
        self._verb = verb

    def __call__(self, real: Store) -> Store:
        async def counted(*args: Any, **how: Any) -> Any:
            self.calls[self._verb] += 1
            return await getattr(real, self._verb)(*args, **how)

        return around(real, **{self._verb: counted})
