"""What one session holds, and jobs for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Relay
from heavyjobs.events import WorkerOptions
from heavyjobs.model import ClaimKey, Policy, new_id
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.store import open_store
from heavyjobs.store.records import Claimed
from heavyjobs.store.watching import Watcher
from heavyjobs.values import JsonText


@pytest.fixture
async def dispatch(tmp_path: Path) -> AsyncIterator[Dispatch]:
    """Holds nothing, and has no workers."""
    session, guardian, options = new_id(), Guardian(), WorkerOptions(marker="dispatch")
    lease = Lease(60, guardian, on_lapse=lambda: None)
    async with open_store(f"sqlite:///{tmp_path}/jobs.db") as store:
        yield Dispatch(
            pool=Pool(options, guardian, preload=(), on_idle=lambda: None, on_stillborn=print, target=0),
            lane=LaneKeeper(options, guardian, preload=(), on_warm=lambda: None, on_stillborn=print),
            relay=Relay(store, session),
            lease=lease,
            families=Families(store, session, Watcher(store), lease, waits_changed=lambda: None),
            on_lane=frozenset(),
            log_bytes=0,
            spawn=nothing_runs,
            room=lambda: None,
            out_of_memory_kills=lambda: 0,
        )


def nothing_runs(work: Coroutine[Any, Any, None], name: str) -> None:
    work.close()
    raise AssertionError(name)


def claimed(policy: Policy | None = None) -> Claimed:
    """A job that was just claimed."""
    return Claimed(
        claim=ClaimKey(new_id(), 1),
        epoch=1,
        attempt=1,
        unstarted=1,
        kind="tests.any",
        version=1,
        parameters=JsonText("{}"),
        policy=policy or Policy(),
        depth=0,
        parent=None,
        checkpoint=None,
    )
