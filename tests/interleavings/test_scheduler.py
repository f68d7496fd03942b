"""The machine itself: every order once, the same again by its word, and nobody who waits for ever goes unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import pytest

from tests.interleavings.scheduler import Actor, Effect, NothingNew, Order, play

Verb = Callable[[], Awaitable[str]]


class Free:
    """A database that locks nothing, or everything."""

    def __init__(self, *, blocks: bool = False) -> None:
        self._blocks = blocks

    async def blocked(self, actors: Collection[Actor]) -> bool:
        assert actors
        return self._blocks


def verb(actor: Actor, steps: int, taken: list[str], *, table: str) -> Verb:
    """Takes so many steps, each of which writes that table for all to see."""

    async def run() -> str:
        for _ in range(steps):
            if actor.armed:
                go = asyncio.Event()
                actor.arrive("write", Effect(looks=frozenset({table}), touches=frozenset({table})), go.set, ends=True)
                await go.wait()
            taken.append(actor.name)
        return actor.name

    return run


async def orders(tables: tuple[str, str]) -> list[str]:
    """All that are played of two steps of A and three of B."""
    played = list[str]()
    order: Order | None = Order()
    while order is not None:
        if (word := await one(order, tables)) is not None:
            played.append(word)
        order = order.next()
    return played


async def one(order: Order, tables: tuple[str, str]) -> str | None:
    a, b = Actor("A"), Actor("B")
    taken = list[str]()
    verbs = [verb(a, 2, taken, table=tables[0]), verb(b, 3, taken, table=tables[1])]
    try:
        await play([a, b], verbs, Free(), order, after_commit=lambda: asyncio.sleep(0))
    except NothingNew:
        return None
    assert "".join(taken) == str(order)
    return str(order)


async def test_steps_that_disturb_each_other_are_played_in_every_order_once() -> None:
    played = await orders(("jobs", "jobs"))

    assert len(played) == len({*played}) == 10  # 5 over 2


async def test_of_orders_that_make_no_difference_one_is_played() -> None:
    assert await orders(("jobs", "logs")) == ["AABBB"]


async def test_a_word_plays_its_order_again() -> None:
    assert await one(Order("BABAB"), ("jobs", "jobs")) == "BABAB"


async def test_actors_that_wait_for_each_other_are_seen() -> None:
    actor, never = Actor("A"), asyncio.Event()

    async def waits() -> str:
        await asyncio.wait_for(never.wait(), 5)
        return ""

    asyncio.get_running_loop().call_later(0.2, never.set)
    with pytest.raises(AssertionError, match="wait for each other"):
        await play([actor], [waits], Free(blocks=True), Order(), after_commit=lambda: asyncio.sleep(0))
