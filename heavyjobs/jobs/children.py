"""Wait for children and show how far they are: as the status of the job that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from heavyjobs.children import Child
from heavyjobs.context import AsyncContext
from heavyjobs.errors import JobDead
from heavyjobs.job import Job
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import AnyTrouble, Stopped, Trouble

T = TypeVar("T")
Ctx: TypeAlias = AsyncContext[Progress, Trouble]

LOOK_SECONDS: Final = 0.5
"""Between two looks at how far the children are."""


async def alone(ctx: Ctx, job: Job[T, Any, Any], *, key: str) -> T:
    """Have one job done, and show its status as this one's; raises as `together` does."""

    def show(statuses: Sequence[Progress | None]) -> None:
        for status in statuses:
            if status is not None:
                ctx.report(status)

    (made,) = await together(ctx, [await ctx.spawn(job, key=key)], show)
    return made


async def together(ctx: Ctx, children: list[Child[T, Any]], show: Callable[[Sequence[Progress | None]], None]) -> list[T]:
    """Wait for children, and have their statuses shown meanwhile; their results, in the same order.

    Raises:
        Stopped: what one of them died of, where that is trouble with the work itself; the others are cancelled.
        JobDead, JobCancelled: one died otherwise.
    """
    waiting = asyncio.ensure_future(ctx.gather(children))
    try:
        while not waiting.done():
            await asyncio.wait([waiting], timeout=LOOK_SECONDS)
            show(await ctx.statuses(children))
        return waiting.result()
    except JobDead as death:
        if isinstance(death.error, AnyTrouble):
            raise Stopped(death.error) from death
        raise
    finally:
        waiting.cancel()


def share(status: Progress | None, seconds: float) -> float:
    """What a child has done of its seconds of the film."""
    if status is None or status.phase == "starting":
        return 0.0
    return min(float(status.done), seconds) if status.phase == "encoding" else seconds
