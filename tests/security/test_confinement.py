"""What runs user code is the user, sees the variables, and uses no more than `[workers]` says."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from heavyjobs import Client
from heavyjobs.cli.exits import Exit
from heavyjobs.errors import ConfigurationError
from heavyjobs.settings import WorkerSettings
from heavyjobs.slots.confinement import confinement_of
from tests.lifecycle.asking import said, until
from tests.lifecycle.hosts import Daemon, gone
from tests.security import work
from tests.security.conftest import ROOT, SECRETS, USER, WORK

pytestmark = pytest.mark.usefixtures("daemon")

as_root = pytest.mark.skipif(not ROOT, reason="only root can be asked to run jobs as another user; run these tests as root")


@pytest.mark.fault("security: jobs of a coordinator of root's")
@pytest.mark.parametrize("job", [work.Look(), work.AsyncLook()])
async def test_jobs_run_as_the_configured_user_and_have_no_way_back(client: Client, job: work.Look | work.AsyncLook) -> None:
    handle = await client.submit(job)

    seen = await handle.result(timeout="30s")

    assert seen.ids == (USER.pw_uid,) * 3 + (USER.pw_gid,) * 3
    assert seen.groups <= set(os.getgrouplist(USER.pw_name, USER.pw_gid))
    assert seen.no_new_privs
    assert (seen.environment["HOME"], seen.environment["USER"], seen.environment["LOGNAME"]) == (
        *(USER.pw_dir, USER.pw_name, USER.pw_name),
    )


@pytest.mark.fault("security: modules that are imported before workers are forked")
async def test_modules_are_preloaded_as_the_configured_user(client: Client) -> None:
    seen = await (await client.submit(work.Look())).result(timeout="30s")

    assert seen.forked_from_importer
    assert seen.imported_by == USER.pw_uid


@pytest.mark.fault("security: secrets in the environment of a coordinator")
@pytest.mark.parametrize("job", [work.Look(), work.AsyncLook()])
async def test_jobs_do_not_find_the_secrets_of_their_coordinator(client: Client, job: work.Look | work.AsyncLook) -> None:
    seen = await (await client.submit(job)).result(timeout="30s")

    for environment in (seen.environment, seen.began_with):
        assert {name: value for name, value in environment.items() if name in SECRETS} == {"TESTED_ALLOWED": "seen"}
        assert "PATH" in environment
        assert "zq9xv7" not in " ".join(environment.values())


@pytest.mark.fault("security: the memory of a job that crashes")
async def test_a_job_that_crashes_leaves_no_file_of_its_memory(client: Client) -> None:
    assert (await (await client.submit(work.Look())).result(timeout="30s")).core == 0


@pytest.mark.fault("security: what jobs make, on a host with other users")
async def test_outputs_programs_and_scratch_are_the_configured_users(client: Client, place: Path) -> None:
    made = await (await client.submit(work.Make(target=place / "made"))).result(timeout="30s")

    assert made.owners == dict.fromkeys(("output", "program", "scratch"), USER.pw_uid)
    assert made.scratch_mode == stat.S_IRWXU


async def test_a_job_of_another_user_has_all_of_multiprocessing(client: Client) -> None:
    assert await (await client.submit(work.Help())).result(timeout="30s") == [1, 2, 3]


async def test_a_job_has_all_of_multiprocessing_where_the_folder_for_scratch_has_a_long_path(
    tmp_path: Path, own_url: str, scratch: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = scratch / "long".ljust(90, "g")
    long.mkdir()
    long.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(long))
    with Daemon(tmp_path / "long", own_url, python=python, modules=(WORK,), workers={"user": USER.pw_name}):
        async with Client.open(own_url) as client:
            assert await (await client.submit(work.Help())).result(timeout="30s") == [1, 2, 3]


@pytest.mark.fault("security: a cancelled job of another user, and what has fled from it")
async def test_a_cancel_ends_the_tree_of_another_user(client: Client, daemon: Daemon) -> None:
    handle = await client.submit(work.Tree())
    await said(handle, "up")
    sleeping = {process for process in daemon.programs() if process.name() == "sleep"}

    await handle.cancel()

    assert len(sleeping) == 2
    await gone(sleeping, within=10)


@pytest.mark.fault("security: a coordinator of root's is killed, its jobs another user's")
async def test_a_killed_coordinator_leaves_nothing_of_another_user(
    tmp_path: Path, own_url: str, scratch: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(scratch))
    with Daemon(tmp_path / "killed", own_url, python=python, modules=(WORK,), workers={"user": USER.pw_name}) as daemon:
        async with Client.open(own_url) as client:
            tree = await client.submit(work.Tree())
            await said(tree, "up")
            assert await (await client.submit(work.Help())).result(timeout="30s") == [1, 2, 3]
        family = daemon.family()
        owners = {process.uids().real for process in family}
        used = [*scratch.iterdir()]  # noqa: ASYNC240

        daemon.signal(signal.SIGKILL)

        await gone(family, within=20)
    assert used
    assert owners == {os.getuid(), USER.pw_uid}
    await until(lambda: not any(scratch.iterdir()))


@as_root
@pytest.mark.fault("security: a user for jobs who cannot be had, or could harm root")
@pytest.mark.parametrize(
    ("workers", "says"),
    [
        ({"user": "root"}, "is root itself"),
        ({"user": "nobody", "group": "no-such-group"}, "there is no group no-such-group"),
        ({"user": "no-such-user"}, "there is no user no-such-user"),
        ({"group": "nogroup"}, "goes with workers.user"),
        ({"processes": 10}, "does not bind root"),
    ],
)
def test_no_coordinator_starts_without_the_user_that_its_jobs_are_to_be(workers: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        confinement_of(WorkerSettings.model_validate(workers))


@as_root
async def test_a_coordinator_does_not_start_where_its_jobs_could_leave_modules_for_root(
    own_url: str, scratch: Path, python: str
) -> None:
    folder = scratch / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with Daemon(folder, own_url, python=python, modules=(WORK,), workers={"user": "nobody"}) as daemon:
        code = await daemon.ended()

    assert code == Exit.USAGE
    assert f"nobody may write to {folder}, where the coordinator was started" in daemon.said


@as_root
async def test_a_coordinator_does_not_start_with_a_folder_for_scratch_that_is_closed_to_its_jobs(
    tmp_path: Path, own_url: str, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Daemon(tmp_path / "refused", own_url, python=python, modules=(WORK,), workers={"user": "nobody"}) as daemon:
        code = await daemon.ended()

    assert code == Exit.USAGE
    assert f"nobody cannot write to TMPDIR={tmp_path}" in daemon.said
