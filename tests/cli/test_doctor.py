"""The doctor: says what is fine, what is worth a thought and what is wrong, with what would do; changes nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from heavyjobs.cli.checkup import open_files, pids_here, stopping
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.systemd import Unit, read_unit, service_in
from heavyjobs.coordinator.host import new_session
from heavyjobs.model import CoordinatorRecord
from heavyjobs.store.postgres.health import Facts, told
from heavyjobs.store.records import Checked, Fit
from heavyjobs.testing.contract.harness import DEADLINE_SECONDS
from tests.cli.stage import Stage

WRITING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def examined(stage: Stage, *arguments: str, code: Exit = Exit.OK, environ: Mapping[str, str] | None = None) -> Any:
    result = stage.run("doctor", *arguments, "--json", environ=environ)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def said_of(what: str, document: Any) -> tuple[str, str]:
    """How one thing is, and what is said of it."""
    [check] = [check for check in document["checks"] if check["what"] == what]
    return check["fit"], check["text"]


def change(stage: Stage, statement: str) -> None:
    with sqlite3.connect(stage.database) as database:
        database.execute(statement)
    database.close()


@contextmanager
def writing(stage: Stage) -> Generator[None]:
    """Another process, in the middle of a transaction that writes."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, stage.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.communicate(timeout=DEADLINE_SECONDS)
    assert other.returncode == 0


def finished(stage: Stage) -> str:
    """A job that has said two lines and succeeded."""
    job = stage.submit()
    claim = stage.claim()
    stage.say(claim, "one", "two")
    stage.succeed(claim)
    return job


# -- machine and configuration


def test_before_anything_was_run_nothing_is_wrong_and_no_database_is_made(stage: Stage) -> None:
    said = stage.answer("doctor")

    assert f"!  database       there is no {stage.database} yet" in said
    assert "✗" not in said
    assert not stage.database.exists()


def test_a_module_that_cannot_be_imported_is_wrong(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").write_text('modules = ["no_such_module"]\n')

    found = examined(stage, code=Exit.UNSOUND)

    assert said_of("configuration", found) == (
        "wrong",
        "modules: no_such_module: ModuleNotFoundError: No module named 'no_such_module'",
    )


@pytest.mark.parametrize(
    ("workers", "told_of"),
    [('user = "nobody-of-that-name"', "there is no user nobody-of-that-name"), ('group = "nobody"', "goes with workers.user")],
)
def test_workers_that_could_not_be_confined_here_are_told_before_a_coordinator_fails(
    stage: Stage, workers: str, told_of: str
) -> None:
    with (stage.folder / "heavyjobs.toml").open("a") as configuration:
        configuration.write(f"[workers]\n{workers}\n")

    fit, text = said_of("workers", examined(stage))

    assert fit == "remark"
    assert "heavyjobs run would not start here" in text
    assert told_of in text


def test_few_open_files_for_many_workers_are_remarked() -> None:
    assert open_files(1024, slots=4).fit is Fit.FINE
    assert open_files(-1, slots=1000).fit is Fit.FINE
    assert "ulimit -n 1728" in open_files(1024, slots=100).text


# -- the database


def test_each_thing_has_its_line_with_a_mark(stage: Stage) -> None:
    stage.serve()

    said = stage.answer("doctor", "--history").splitlines()

    assert {line[0] for line in said} <= {"✓", "!"}
    for start in (
        "✓  integrity      every page is sound",
        "✓  schema ",
        "✓  power cuts     synchronous is FULL",
        "✓  disk space ",
    ):
        assert any(line.startswith(start) for line in said), start


def test_a_damaged_file_is_found_and_left_as_it_is(stage: Stage) -> None:
    stage.serve()
    change(stage, "PRAGMA wal_checkpoint(TRUNCATE)")
    pages = bytearray(stage.database.read_bytes())
    pages[4096 * 3 + 4 : 4096 * 3 + 4000] = b"\x55" * 3996
    stage.database.write_bytes(pages)

    fit, text = next(
        (check["fit"], check["text"])
        for check in examined(stage, "--history", code=Exit.UNSOUND)["checks"]
        if check["what"] == "integrity"
    )

    assert fit == "wrong"
    assert "restore a backup" in text
    assert stage.database.read_bytes() == pages


def test_without_being_asked_for_the_history_not_the_whole_file_is_read(stage: Stage) -> None:
    stage.serve()

    assert "integrity" not in {check["what"] for check in examined(stage)["checks"]}


@pytest.mark.parametrize("arguments", [(), ("--history",)], ids=["alone", "with its history"])
def test_a_database_that_another_process_writes_to_is_examined_all_the_same(stage: Stage, arguments: tuple[str, ...]) -> None:
    stage.serve()

    with writing(stage):
        found = examined(stage, *arguments)

    assert said_of("database", found)[0] == "fine"
    assert said_of("schema", found)[0] == "fine"


def test_a_schema_of_a_later_release_is_wrong(stage: Stage) -> None:
    stage.serve()
    change(stage, "INSERT INTO heavyjobs_schema_version VALUES (99, 99, 0)")

    assert said_of("schema", examined(stage, code=Exit.UNSOUND))[0] == "wrong"


def test_a_file_that_others_may_read_is_remarked(stage: Stage) -> None:
    stage.serve()
    stage.database.chmod(0o644)

    assert said_of("privacy", examined(stage))[0] == "remark"


def test_a_database_out_of_reach_is_one_wrong_line_without_its_password(stage: Stage) -> None:
    database = ("--database", "postgresql://me:secret@127.0.0.1:1/jobs")

    fit, text = said_of("database", examined(stage, *database, code=Exit.UNSOUND))

    assert fit == "wrong"
    assert "127.0.0.1:1/jobs" in text
    assert "secret" not in text
    assert stage.run("doctor", "--history", *database).exit_code == Exit.DATABASE


# -- coordinators


def test_a_coordinator_is_told_with_its_silence(stage: Stage) -> None:
    stage.serve()
    fresh = said_of("coordinators", examined(stage))
    change(stage, "UPDATE heavyjobs_coordinators SET ticked_at = ticked_at - 3600 * 1000000")

    silent = said_of("coordinators", examined(stage))

    assert fresh[0] == "fine"
    assert silent[0] == "remark"
    assert "heard of 1 h 00 min ago, runs 0; it is gone or cut off" in silent[1]


def test_two_coordinators_of_one_name_are_remarked(stage: Stage) -> None:
    stage.serve()
    change(
        stage,
        "INSERT INTO heavyjobs_coordinators SELECT randomblob(16), name, host, boot_id, pid, pid_started, release, queues, "
        "kinds, problems, tick, started_at, ticked_at, NULL, NULL, NULL FROM heavyjobs_coordinators",
    )

    texts = [check["text"] for check in examined(stage)["checks"] if check["fit"] == "remark"]

    assert any(text.startswith("2 are called host-a: harmless") for text in texts)


def test_a_pid_of_an_earlier_boot_is_not_taken_for_a_process_of_this_one() -> None:
    now = datetime.now(UTC)
    live = CoordinatorRecord(new_session("here"), 1, now, now, None, None, None, 0)
    earlier = replace(live, session=replace(live.session, boot_id="earlier"))

    assert pids_here([live]) == {os.getpid()}
    assert pids_here([earlier]) == set()


def test_a_service_that_cannot_drain_is_wrong() -> None:
    unit = read_unit("jobs.service", "TimeoutStopUSec=1min 30s\nKillMode=mixed\n")
    assert unit is not None

    assert [check.fit for check in stopping(unit, drain_seconds=30)] == [Fit.FINE]
    assert [check.fit for check in stopping(unit, drain_seconds=90)] == [Fit.WRONG]
    assert [check.fit for check in stopping(Unit("jobs.service", "control-group", None), drain_seconds=1)] == [Fit.WRONG]


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("0::/system.slice/jobs.service\n", ("jobs.service", False)),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/jobs.service\n", ("jobs.service", True)),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n", None),
        ("12:cpu:/\n0::/\n", None),
    ],
)
def test_the_service_of_a_process_is_read_from_its_control_group(cgroup: str, found: tuple[str, bool] | None) -> None:
    assert service_in(cgroup) == found


@pytest.mark.parametrize(
    ("span", "seconds"), [("1min 30s", 90.0), ("infinity", None), ("500ms", 0.5), ("1h 2min 3s", 3723.0), ("2month", 5259600.0)]
)
def test_times_of_systemd_are_understood(span: str, seconds: float | None) -> None:
    unit = read_unit("jobs.service", f"TimeoutStopUSec={span}\nKillMode=mixed\n")

    assert unit is not None
    assert unit.stop_seconds == seconds


def test_a_systemd_that_does_not_tell_is_not_guessed_at() -> None:
    assert read_unit("jobs.service", "KillMode=\n") is None


# -- history


def test_a_sound_history_is_counted(stage: Stage) -> None:
    finished(stage)
    stage.submit()

    said = stage.answer("doctor", "--history")

    assert said.endswith("✓ 2 jobs, 1 invocation, 2 lines: nothing lost, nothing twice\n")


def test_a_history_that_was_tampered_with_is_found_out(stage: Stage) -> None:
    job = finished(stage)
    change(stage, "DELETE FROM heavyjobs_logs")
    change(stage, "UPDATE heavyjobs_invocations SET ending = 'raised'")

    result = stage.run("doctor", "--history")
    document = examined(stage, "--history", code=Exit.UNSOUND)

    assert result.exit_code == Exit.UNSOUND
    assert (
        f"✗ job {job[:8]}-{job[-6:]}, claim 1: 0 lines are stored, its row says 2: its log is not whole [logs]" in result.stdout
    )
    assert result.stdout.endswith("✗ 1 job, 1 invocation, 0 lines: 3 findings\n")
    assert {finding["rule"] for finding in document["history"]["findings"]} == {"endings", "fitting", "logs"}


def test_the_history_of_a_database_that_is_not_there_is_no_sound_one(stage: Stage) -> None:
    result = stage.run("doctor", "--history")

    assert (result.exit_code, result.stdout) == (Exit.DATABASE, "")


# -- PostgreSQL


def facts(**others: Any) -> Facts:
    usual: dict[str, Any] = {
        "version": "15.4",
        "pooled": False,
        "recovering": False,
        "read_only": "off",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "isolation": "read committed",
        "idle_ms": 0,
        "connections": 5,
        "connections_max": 100,
        "clock_ahead_seconds": 0.1,
    }
    return Facts(**{**usual, **others})


def beside_fine(found: Facts, *, heard: bool | None = True, listen_url: bool = False) -> list[Checked]:
    return [check for check in told(found, heard=heard, listen_url=listen_url) if check.fit is not Fit.FINE]


def test_a_sound_server_is_fine() -> None:
    assert not beside_fine(facts())
    assert not beside_fine(facts(), heard=None)
    assert not beside_fine(facts(pooled=True), listen_url=True)


@pytest.mark.parametrize(
    ("found", "fit", "told_of"),
    [
        (facts(fsync="off"), Fit.WRONG, "set fsync = on"),
        (facts(synchronous_commit="off"), Fit.WRONG, "undo what was accepted"),
        (facts(recovering=True), Fit.WRONG, "standby"),
        (facts(read_only="on"), Fit.WRONG, "read-only"),
        (facts(pooled=True), Fit.REMARK, "through a pooler"),
        (facts(idle_ms=60_000), Fit.REMARK, "idle_session_timeout of 1 min 00 s"),
        (facts(connections=95), Fit.REMARK, "raise max_connections"),
        (facts(isolation="serializable"), Fit.REMARK, "default_transaction_isolation"),
        (facts(clock_ahead_seconds=-7200.0), Fit.REMARK, "2 h 00 min behind"),
    ],
)
def test_a_server_that_breaks_a_promise_or_surprises_is_told_with_what_would_do(found: Facts, fit: Fit, told_of: str) -> None:
    [check] = beside_fine(found)

    assert check.fit is fit
    assert told_of in check.text


def test_wake_ups_that_are_not_heard_are_remarked() -> None:
    [check] = beside_fine(facts(), heard=False)

    assert "they are not heard" in check.text


def test_a_real_server_is_asked_and_heard(stage: Stage, postgres_url: str) -> None:
    environ = {"HEAVYJOBS_DATABASE__URL": postgres_url}
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")

    found = examined(stage, "--history", code=Exit.UNSOUND, environ=environ)

    # The server of the tests keeps nothing over a power cut, and says so.
    wrong = [check["text"] for check in found["checks"] if check["fit"] == "wrong"]
    assert [text.split(" is off")[0] for text in wrong] == ["fsync", "full_page_writes", "synchronous_commit"]
    assert said_of("wake-ups", found) == ("fine", "heard")
    assert said_of("server", found)[0] == "fine"
    assert found["history"] == {"jobs": 0, "invocations": 0, "lines": 0, "found": 0, "findings": []}
