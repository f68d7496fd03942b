"""Jobs look at their children's statuses, and an `async def run` hears why it is to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.events import Stop
from heavyjobs.model import Cancelled
from tests.lifecycle.asking import said, until
from tests.lifecycle.family_work import HearsWhy, Watching, WatchingAside
from tests.lifecycle.hosts import coordinating

WORK = ("tests.lifecycle.work", "tests.lifecycle.family_work")


@pytest.mark.parametrize("parent", [Watching, WatchingAside])
async def test_a_parent_sees_what_its_children_report_while_they_run(
    client: Client, url: str, tmp_path: Path, parent: type[Watching | WatchingAside]
) -> None:
    async with coordinating(url, slots=4, modules=WORK):
        watching = await client.submit(parent(until=tmp_path / "enough"))

        assert await watching.result(timeout=20) == [None, 1, 2]


async def test_a_cancel_is_told_from_a_host_that_drains(client: Client, url: str, tmp_path: Path) -> None:
    drained, cancelled = await client.submit_many([HearsWhy(path=tmp_path / "drained"), HearsWhy(path=tmp_path / "cancelled")])
    async with coordinating(url, modules=WORK) as coordinator:
        await said(drained, "waiting")
        await said(cancelled, "waiting")
        assert await cancelled.cancel() == Cancelled()

        coordinator.stop()
        await until(lambda: (tmp_path / "drained").exists() and (tmp_path / "drained").read_text() != "")

    assert (tmp_path / "cancelled").read_text() == f"{Stop.CANCEL}\n"
    assert (tmp_path / "drained").read_text() == "this coordinator drains\n"
