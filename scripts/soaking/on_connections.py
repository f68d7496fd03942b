"""What is done between PostgreSQL and one host, or the client."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from heavyjobs.testing.proxy import Ambush, FaultyProxy, Link, Way
from soaking.databases import Database
from soaking.plan import Fault

HALF_OPEN_SECONDS: Final = 0.5

COMMITS: Final = (
    "",
    "",
    "INSERT INTO heavyjobs.jobs",
    "UPDATE heavyjobs.jobs",
    "UPDATE heavyjobs.coordinators",
    "heavyjobs.logs",
)
"""Words of the transactions whose answers are lost."""


async def inflict(fault: Fault, database: Database) -> bool:
    """Do it; what lasts is over when this returns."""
    assert database.proxies is not None  # noqa: S101 - for the type checker
    proxy = database.proxies[fault.target]
    if fault.seconds:
        return await _for_a_while(fault, proxy)
    match fault.kind:
        case "connections closed":
            proxy.drop(_some)
        case "connections reset":
            proxy.reset(_some)
        case "reset in the middle of a question":
            proxy.tear(Way.TO_SERVER, _some)
        case "reset in the middle of an answer":
            proxy.tear(Way.TO_CLIENT, _some)
        case "half closed towards the server":
            await _half_close(proxy, Way.TO_SERVER)
        case "half closed towards the client":
            await _half_close(proxy, Way.TO_CLIENT)
        case _:
            proxy.drop(lambda link: link.listens)
    return True


async def _for_a_while(fault: Fault, proxy: FaultyProxy) -> bool:
    match fault.kind:
        case "commit done but not answered":
            return await _struck(proxy.lose_answer(_words()), fault.seconds)
        case "question lost":
            return await _struck(proxy.lose_question(_words()), fault.seconds)
        case "connections refused":
            proxy.refuse()
            proxy.drop()
            await asyncio.sleep(fault.seconds)
            await proxy.accept()
        case "connections slow":
            proxy.delay(to_server=random.uniform(0, 0.2), to_client=random.uniform(0, 0.2))  # noqa: S311 - guards nothing
            await asyncio.sleep(fault.seconds)
            proxy.delay()
        case _:
            proxy.freeze()
            await asyncio.sleep(fault.seconds)
            proxy.thaw()
    return True


def _some(link: Link) -> bool:
    return bool(link) and random.random() < 0.7  # noqa: S311 - guards nothing


def _words() -> str:
    return random.choice(COMMITS)  # noqa: S311 - guards nothing


async def _half_close(proxy: FaultyProxy, way: Way) -> None:
    """Half close, and after a while all the way: behind a machine that is gone nobody ever answers."""
    closed = [link for link in proxy.links if _some(link)]
    proxy.half_close(way, lambda link: link in closed)
    await asyncio.sleep(HALF_OPEN_SECONDS)
    proxy.drop(lambda link: link in closed)


async def _struck(ambush: Ambush, seconds: float) -> bool:
    """Whether it found its moment within that time; otherwise it waits on."""
    try:
        async with asyncio.timeout(seconds):
            await ambush.happened.wait()
    except TimeoutError:
        ambush.passing = 1 << 30
        return False
    return True
