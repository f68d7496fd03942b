"""A job's workspace goes with the job, however that ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from heavyjobs import Client
from tests.lifecycle import work
from tests.lifecycle.asking import until
from tests.lifecycle.hosts import Daemon, gone


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of a coordinator keep what is temporary."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def all_in(scratch: Path) -> list[Path]:
    return [*scratch.iterdir()]


def left(scratch: Path) -> list[Path]:
    """What workers have made there; the coordinator's own has a shorter name."""
    return [path for path in scratch.glob("heavyjobs-*") if path.name.count("-") > 4]


@pytest.mark.fault("storage: a process dies and leaves its scratch behind")
async def test_the_workspace_of_a_job_whose_process_died_goes_with_it(scratch: Path, tmp_path: Path) -> None:
    url, gate = f"sqlite:///{tmp_path}/jobs.db", tmp_path / "gate"
    with Daemon(tmp_path / "host", url):
        async with Client.open(url) as client:
            burning = await client.submit(work.Burn(until=gate))
            await until(lambda: bool(left(scratch)))
            gate.touch()

            await burning.wait(timeout=30)

            await until(lambda: not left(scratch))


async def test_what_is_left_when_all_that_would_remove_it_was_killed_goes_when_a_coordinator_starts_there_again(
    scratch: Path, tmp_path: Path
) -> None:
    url, others = f"sqlite:///{tmp_path}/jobs.db", scratch / "heavyjobs-1-1-1-others"
    others.mkdir()
    with Daemon(tmp_path / "host", url) as daemon:
        async with Client.open(url) as client:
            await client.submit(work.Burn(until=tmp_path / "never"))
        await until(lambda: bool(left(scratch)))
        await daemon.killed_with(daemon.guardian(), daemon.server())
    before = {*all_in(scratch)} - {others}

    with Daemon(tmp_path / "again", url) as daemon:
        await daemon.says("session begins")

        assert before
        assert not before & {*all_in(scratch)}
        assert others in all_in(scratch)


async def test_a_killed_coordinator_leaves_nothing_in_the_folder_for_scratch(scratch: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Daemon(tmp_path / "host", url) as daemon:
        async with Client.open(url) as client:
            await client.submit(work.Burn(until=tmp_path / "never"))
        await until(lambda: bool(left(scratch)))

        daemon.signal(signal.SIGKILL)

        await until(lambda: not all_in(scratch))


async def test_one_session_may_follow_another_though_its_guardian_is_let_go(scratch: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Daemon(tmp_path / "host", url, tick_every="50ms", lease="2s", kill="500ms", forfeit_after="3s") as daemon:
        async with Client.open(url) as client:
            await (await client.submit(work.Note(path=tmp_path / "notes"))).result(timeout=30)
            workers = daemon.workers()
            daemon.signal(signal.SIGSTOP)
            await gone(workers, within=20)  # its guardian has ended them, for its lease is over
            daemon.signal(signal.SIGCONT)
            await until(lambda: daemon.said.count("session begins") >= 2)

            note = await client.submit(work.Note(path=tmp_path / "notes"))

            await note.result(timeout=30)


async def test_a_folder_for_scratch_with_a_long_path_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, scratch = f"sqlite:///{tmp_path}/jobs.db", tmp_path / ("long" * 25)
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with Daemon(tmp_path / "host", url):
        async with Client.open(url) as client:
            note = await client.submit(work.Note(path=tmp_path / "notes"))

            await note.result(timeout=30)
