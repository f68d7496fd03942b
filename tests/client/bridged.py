"""The player for tests without an event loop of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self

from heavyjobs.client.bridge import Bridge
from heavyjobs.model import ClaimKey
from heavyjobs.store import open_store
from tests.client.player import Player


class BridgedPlayer:
    def __init__(self, bridge: Bridge[Player]) -> None:
        self._bridge = bridge

    @classmethod
    @contextmanager
    def registered(cls, url: str) -> Generator[Self]:
        @asynccontextmanager
        async def enter() -> AsyncGenerator[Player]:
            async with open_store(url) as store:
                yield await Player.registered(store)

        bridge = Bridge(enter)
        try:
            yield cls(bridge)
        finally:
            bridge.close()

    def claims(self) -> list[ClaimKey]:
        return [claimed.claim for claimed in self._bridge.call(self._bridge.value.claims())]

    def say(self, claim: ClaimKey, *texts: str, status: str | None = None) -> None:
        self._bridge.call(self._bridge.value.say(claim, *texts, status=status))

    def succeed(self, *claims: ClaimKey, says: Sequence[str] = ()) -> None:
        self._bridge.call(self._bridge.value.succeed(*claims, says=says))

    def fail(self, claim: ClaimKey) -> None:
        self._bridge.call(self._bridge.value.fail(claim))
