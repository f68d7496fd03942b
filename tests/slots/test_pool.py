"""A pool keeps as many warm workers as are wanted, and every one of them is known to the guardian."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from heavyjobs.model import Ending
from heavyjobs.slots import pool
from tests.slots.ears import run
from tests.slots.keeping import Keeper, keeping_a_lane


async def test_a_worker_that_was_killed_while_idle_is_replaced(keeper: Keeper) -> None:
    (first, _) = keeper.pool.workers

    os.kill(first.root.pid, signal.SIGKILL)
    await first.over.wait()

    assert keeper.pool.idle == 1, "one that is gone is given to nobody"
    await keeper.idle(2)
    assert first not in keeper.pool.workers


async def test_a_worn_worker_is_ended_and_replaced_and_another_is_used_again(keeper: Keeper) -> None:
    worn, fresh = keeper.pool.take(), keeper.pool.take()

    keeper.pool.give_back(worn, worn=True)
    keeper.pool.give_back(fresh, worn=False)

    async with asyncio.timeout(20):
        await worn.over.wait()
    await keeper.idle(2)
    assert fresh in keeper.pool.workers


async def test_more_and_fewer_workers_are_had_as_they_are_wanted(keeper: Keeper) -> None:
    keeper.pool.want(3)
    await keeper.idle(3)
    busy = keeper.pool.take()

    keeper.pool.want(2)
    keeper.pool.give_back(busy, worn=False)

    assert len(keeper.pool.workers) == 2


async def test_closing_ends_busy_workers_and_what_they_started(keeper: Keeper) -> None:
    busy = keeper.pool.take()
    ear = run(busy, "leave_children_and_hang", {"how": "session"})
    await ear.until(lambda: bool(ear.texts))
    pids = [worker.root.pid for worker in keeper.pool.workers]

    await keeper.pool.close()

    assert (await ear.death()).signal == signal.SIGKILL
    assert keeper.pool.workers == ()
    assert not [pid for pid in (*pids, int(ear.texts[0])) if lives(pid)]


async def test_a_lane_that_answers_again_is_out_of_its_grace_and_the_next_step_that_holds_it_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PING_SECONDS", 0.1)
    monkeypatch.setattr(pool, "BLOCKED_AFTER_SECONDS", 0.5)
    monkeypatch.setattr(pool, "BLOCKED_GRACE_SECONDS", 600.0)
    async with keeping_a_lane() as lane:
        for step in ("first", "second"):
            ear = run(lane, "hold_up_all", {"until": str(tmp_path / step)})
            await ear.until(lambda: ear.has_blocked)  # noqa: B023 - it is waited for here

            (tmp_path / step).touch()

            assert (await ear.end()).ending is Ending.SUCCEEDED


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
