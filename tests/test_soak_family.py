"""A soak does each fault to whom it is meant for."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.lifecycle.hosts import ROOT
from tests.slots.ears import start


async def test_what_forks_the_workers_is_told_from_them_though_it_leads_a_session_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from soaking import family, witness

    monkeypatch.setattr(witness, "lanes", lambda: tmp_path)
    one = await start()
    worker = psutil.Process(one.root.pid)
    found = psutil.Process().children(recursive=True)

    workers, servers = family.workers(found, lane=False), family.fork_servers(found)

    assert worker in workers
    assert worker.parent() in servers
    assert not {*workers} & {*servers}
    await one.end()
