"""The job types of these tests, each deed of which is a function that is noted here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from heavyjobs import AsyncContext, Context, Job


class Status(BaseModel):
    text: str


class Failed(BaseModel):
    why: str


class Deed(Job[Any, Status, Failed], kind="tests.deed"):
    name: str
    arguments: dict[str, Any]

    def run(self, ctx: Context[Status, Failed]) -> Any:
        return DEEDS[self.name](ctx, **self.arguments)


class AsyncDeed(Job[Any, Status, Failed], kind="tests.async_deed"):
    name: str
    arguments: dict[str, Any]

    async def run(self, ctx: AsyncContext[Status, Failed]) -> Any:
        return await ASYNC_DEEDS[self.name](ctx, **self.arguments)


class Counted(Job[int], kind="tests.counted"):
    """Says that it returns a number, but does not."""

    name: str
    arguments: dict[str, Any]

    def run(self, ctx: Context) -> int:
        return "three"  # type: ignore[return-value]  # the point


Ctx = Context[Status, Failed]

DEEDS: Final[dict[str, Callable[..., Any]]] = {}
ASYNC_DEEDS: Final[dict[str, Callable[..., Any]]] = {}


def deed(function: Callable[..., Any]) -> Callable[..., Any]:
    DEEDS[function.__name__] = function
    return function


def async_deed(function: Callable[..., Any]) -> Callable[..., Any]:
    ASYNC_DEEDS[function.__name__] = function
    return function
