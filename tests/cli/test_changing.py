"""`cancel`, `retry`, `update`, `coordinators`, `drain`, `migrate`, `check-config`."""

from __future__ import annotations

import json
import tomllib

import pytest

from heavyjobs.cli.exits import Exit
from heavyjobs.model import Cause, Ending, JobState
from heavyjobs.testing.contract.harness import CANCEL
from tests.cli.stage import Stage

CRASH = Cause(Ending.CRASHED, "killed by signal 9", signal=9)


# -- cancel


def test_a_waiting_job_is_cancelled_at_once(stage: Stage) -> None:
    first, second = stage.submit(), stage.submit()

    rows = [line.split()[:3] for line in stage.answer("cancel", first, second).splitlines()]

    assert rows == [[f"{job[:8]}-{job[-6:]}", "film.cut", "cancelled"] for job in (first, second)]


def test_cancelling_a_running_job_returns_when_it_has_ended(stage: Stage) -> None:
    job = stage.submit()
    claim = stage.claim()
    with stage.start("cancel", job, "--grace", "3s") as process:
        assert process.stdout
        stage.until(lambda: stage.jobs()[0].cancel_requested_at is not None)
        assert process.poll() is None
        stage.die(claim, Cause(Ending.CANCELLED, "cancelled"), move=CANCEL)

        assert process.stdout.read().split()[1:3] == ["film.cut", "cancelled"]
        assert process.wait() == Exit.OK


def test_cancelling_without_waiting_leaves_a_request(stage: Stage) -> None:
    job = stage.submit()
    stage.claim()

    answer = stage.answer("cancel", job, "--no-wait")

    assert "running, cancel requested" in answer


def test_one_unknown_id_among_several_cancels_nothing(stage: Stage) -> None:
    job = stage.submit()

    result = stage.run("cancel", job, "ffffffffffff")

    assert result.exit_code == Exit.USAGE
    assert result.stderr == "heavyjobs: no job's id ends in ffffffffffff\n"
    assert stage.jobs()[0].state is JobState.READY


# -- retry


def test_a_dead_job_is_sent_again(stage: Stage) -> None:
    job = stage.submit()
    stage.die(stage.claim(), CRASH)

    answer = stage.answer("retry", job, "--fresh")

    assert answer.split()[1:3] == ["film.cut", "ready"]
    assert stage.document("show", job)["epoch"] == 2


def test_a_job_that_has_not_ended_is_not_sent_again(stage: Stage) -> None:
    job = stage.submit()

    result = stage.run("retry", job)

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "ready" in result.stderr


# -- update


def test_an_update_changes_what_it_names_and_nothing_else(stage: Stage) -> None:
    job = stage.submit()
    before = stage.document("show", job)["policy"]

    stage.answer("update", job, "--priority", "-3", "--memory", "2GiB", "--timeout", "1h")

    assert stage.document("show", job)["policy"] == {
        **before, "priority": -3, "memory_bytes": 2 << 30, "timeout_seconds": 3600.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "update: nothing to change"),
        (["--memory", "lots"], "invalid value for '--memory': 'lots' is not a size; write it like 500MB, 2GiB or 4096"),
        (["--delay", "soon"], "invalid value for '--delay': 'soon' is not a duration"),
        (["--attempts", "0"], "1 to 1000 would do"),
    ],
)
def test_an_update_that_cannot_be_is_refused(stage: Stage, arguments: list[str], told: str) -> None:
    job = stage.submit()
    before = stage.document("show", job)

    result = stage.run("update", job, *arguments)

    assert result.exit_code == Exit.USAGE
    assert told in result.stderr
    assert stage.document("show", job) == before


# -- coordinators and drain


def test_coordinators_are_listed_with_what_they_serve(stage: Stage) -> None:
    stage.submit()
    stage.claim()

    header, row = stage.answer("coordinators").splitlines()

    assert header.split() == ["id", "name", "state", "queues", "running", "started", "last", "tick", "release"]
    assert row.split()[1:8] == ["host-a", "running", "default", "4,", "films", "2", "1"]
    assert stage.document("coordinators")[0]["kinds"] == {"film.cut": 1, "film.play": 1}


def test_no_coordinator_is_a_remark_that_says_what_would_do(stage: Stage) -> None:
    stage.answer("migrate")

    assert stage.run("coordinators").stderr == "no coordinator is running; heavyjobs run starts one\n"


@pytest.mark.parametrize("by", ["name", "tail", "all"])
def test_a_coordinator_is_asked_to_drain_by_host_id_or_all(stage: Stage, by: str) -> None:
    stage.submit()
    stage.claim()
    session = stage.document("coordinators")[0]["id"]

    answer = stage.answer("drain", {"name": "host-a", "tail": f"{session[:8]}-{session[-6:]}", "all": "--all"}[by])

    assert answer.splitlines()[1].split()[2] == "draining"


def test_draining_with_wait_returns_when_the_coordinator_has_ended(stage: Stage) -> None:
    stage.serve()
    with stage.start("drain", "host-a", "--wait") as process:
        assert process.stdout
        stage.until(lambda: stage.document("coordinators")[0]["drain_requested_at"] is not None)
        stage.play(lambda store, session: store.end_session(session))

        assert process.stdout.read().splitlines()[1].split()[2] == "ended"
        assert process.wait() == Exit.OK


@pytest.mark.parametrize("arguments", [[], ["host-a", "--all"]])
def test_drain_wants_to_know_whom(stage: Stage, arguments: list[str]) -> None:
    result = stage.run("drain", *arguments)

    assert (result.exit_code, result.stderr) == (
        Exit.USAGE,
        "heavyjobs: drain: name a host or a coordinator's id, or say --all\n",
    )


def test_drain_of_an_unknown_host_says_which_there_are(stage: Stage) -> None:
    stage.serve()

    result = stage.run("drain", "host-b")

    assert result.exit_code == Exit.USAGE
    assert result.stderr == "heavyjobs: host-b: no such coordinator is running; running: host-a\n"


# -- migrate


def test_migrating_twice_is_harmless(stage: Stage) -> None:
    assert stage.answer("migrate").endswith(": schema none → 1\n")
    assert stage.answer("migrate").endswith(": schema 1, nothing to do\n")


# -- check-config


def test_the_effective_settings_are_toml_with_secrets_masked(stage: Stage) -> None:
    result = stage.run("check-config", "--database", "postgresql://me:secret@db/jobs?sslpassword=x")

    assert result.exit_code == Exit.OK
    settings = tomllib.loads(result.stdout)
    assert settings["database"]["url"] == "postgresql://me:***@db/jobs?sslpassword=***"
    assert settings["modules"] == ["film_jobs"]
    assert "# kinds: " in result.stdout
    assert "film.cut" in result.stdout


def test_what_check_config_prints_is_a_configuration(stage: Stage) -> None:
    text = stage.answer("check-config")
    (stage.folder / "again.toml").write_text(text)

    again = stage.answer("check-config", "--config", "again.toml")

    assert again.splitlines()[1:] == text.splitlines()[1:]


def test_a_module_that_cannot_be_imported_is_named(stage: Stage) -> None:
    (stage.folder / "broken_jobs.py").write_text("raise SystemExit('no \\x1b[2J way')")

    result = stage.run("check-config", "--json", environ={"HEAVYJOBS_MODULES": "broken_jobs, absent_jobs, film_jobs"})

    assert result.exit_code == Exit.USAGE
    document = json.loads(result.stdout)
    assert document["problems"] == [
        "modules: broken_jobs: SystemExit: no ␛[2J way",
        "modules: absent_jobs: ModuleNotFoundError: No module named 'absent_jobs'",
    ]
    assert "film.cut" in document["kinds"]


def test_durations_and_sizes_are_shown_as_they_are_written(stage: Stage) -> None:
    coordinator = tomllib.loads(stage.answer("check-config"))["coordinator"]

    assert (coordinator["lease"], coordinator["log_bytes"]) == ("15s", "64MiB")


def test_a_location_is_told_when_its_folder_is_not_here_or_no_job_can_use_it(stage: Stage) -> None:
    with (stage.folder / "heavyjobs.toml").open("a") as file:
        file.write('[locations]\nhere.url = "file:///tmp"\ngone.url = "/no/such"\n')

    absent = stage.run("check-config")
    with (stage.folder / "heavyjobs.toml").open("a") as file:
        file.write('cloud.url = "gopher://bucket"\n')
    unusable = stage.run("check-config")

    assert (absent.exit_code, absent.stderr) == (
        Exit.OK,
        "locations.gone: there is no folder /no/such on this host; make it, or name another one\n",
    )
    assert unusable.exit_code == Exit.USAGE
    assert "heavyjobs: locations.cloud: gopher: there is no such kind of place; use one of file:, s3:, sftp:" in unusable.stderr


def test_check_config_says_that_a_file_will_be_made(stage: Stage) -> None:
    result = stage.run("check-config", "--connect")

    assert (result.exit_code, result.stderr) == (
        Exit.OK,
        f"sqlite:///heavyjobs.db: there is no {stage.database} yet; heavyjobs run or submit makes it, with its tables\n",
    )
    assert not stage.database.exists()


def test_check_config_connects_when_asked_to(stage: Stage) -> None:
    stage.submit()

    result = stage.run("check-config", "--connect")

    assert result.stderr == f"{stage.url.replace(str(stage.folder) + '/', '')}: connected, the schema fits\n"
