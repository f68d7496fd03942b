"""Jobs that wait: on the lane."""

# ruff: noqa: T201, BLE001 - jobs print, and swallow what they should not

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

from loguru import logger

from heavyjobs import AsyncContext
from tests.slots.deeds.ending import Endless
from tests.slots.deeds.kinds import Failed, Status, async_deed


@async_deed
async def doze(_ctx: AsyncContext[Status, Failed], seconds: float = 600) -> str:
    logger.info("dozing")
    await asyncio.sleep(seconds)
    return "rested"


@async_deed
async def hold_up_all(_ctx: AsyncContext[Status, Failed], until: str) -> None:
    """In one step, until that file is there."""
    while not Path(until).exists():  # noqa: ASYNC240
        time.sleep(0.01)  # noqa: ASYNC251


@async_deed
async def leave_task(_ctx: AsyncContext[Status, Failed], path: str) -> None:
    async def later() -> None:
        await asyncio.sleep(0.1)
        Path(path).touch()  # noqa: ASYNC240

    _kept.add(asyncio.create_task(later()))


_kept: Final[set[asyncio.Task[None]]] = set()


@async_deed
async def let_a_cancel_out(_ctx: AsyncContext[Status, Failed]) -> None:
    """Of a task that it has cancelled itself."""
    task = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)
    task.cancel()
    await task


@async_deed
async def exit_in_task(_ctx: AsyncContext[Status, Failed]) -> None:
    async def leave() -> None:
        sys.exit(4)

    await asyncio.create_task(leave())


@async_deed
async def crash_in_step(_ctx: AsyncContext[Status, Failed]) -> None:
    await asyncio.sleep(0.01)
    os._exit(6)


@async_deed
async def say(ctx: AsyncContext[Status, Failed], text: str) -> str:
    print(text)
    ctx.report(Status(text=text))
    await asyncio.sleep(0.01)
    logger.info("{} again", text)
    return text


@async_deed
async def say_in_threads(_ctx: AsyncContext[Status, Failed], text: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, print, f"{text} in the executor")
    await asyncio.to_thread(print, f"{text} in a thread")


@async_deed
async def run_yes(_ctx: AsyncContext[Status, Failed]) -> None:
    """A program that writes to the descriptor that all on the lane share, as fast as it can and for ever."""
    process = await asyncio.create_subprocess_exec("yes")
    try:
        await process.wait()
    finally:
        process.kill()


@async_deed
async def fail(ctx: AsyncContext[Status, Failed]) -> None:
    try:
        ctx.fail(Failed(why="async"))
    except BaseException:
        logger.info("swallowed")


@async_deed
async def raise_endless(_ctx: AsyncContext[Status, Failed]) -> None:
    raise Endless
