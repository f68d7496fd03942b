"""A job that nobody will run does not wait in silence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from heavyjobs.cli import unserved as module
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.unserved import unserved
from heavyjobs.model import CoordinatorRecord, JobRecord, JobState, Policy, Session, new_id, short_id
from heavyjobs.values import JsonText
from tests.cli.stage import Stage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def job(*, state: JobState = JobState.READY, queue: str = "films", kind: str = "film.cut", version: int = 1) -> JobRecord:
    return JobRecord(
        id=new_id(),
        kind=kind,
        version=version,
        state=state,
        parameters=JsonText("{}"),
        policy=Policy(queue=queue),
        epoch=1,
        attempt=0,
        claim=0,
        created_at=NOW,
    )


def coordinator(
    name: str = "host-a",
    *,
    kinds: Mapping[str, int] | None = None,
    problems: tuple[str, ...] = (),
    silent_seconds: float = 1.0,
    drains: bool = False,
) -> CoordinatorRecord:
    session = Session(
        id=new_id(),
        name=name,
        host=name,
        boot_id="",
        pid=1,
        pid_started=1.0,
        release="0.1.0",
        queues={"default": 1, "films": 2},
        kinds={"film.cut": 1} if kinds is None else kinds,
        problems=problems,
    )
    return CoordinatorRecord(
        session=session,
        tick=1,
        started_at=NOW,
        ticked_at=NOW - timedelta(seconds=silent_seconds),
        drain_requested_at=NOW if drains else None,
        ended_at=None,
        fenced_at=None,
        running=0,
    )


# -- the decision


def test_one_coordinator_that_serves_queue_kind_and_version_is_enough() -> None:
    assert unserved(job(), [coordinator(kinds={}), coordinator("host-b")], now=NOW) == []


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED])
def test_a_job_that_does_not_wait_needs_nobody(state: JobState) -> None:
    assert unserved(job(state=state), [], now=NOW) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([], "no coordinator is running; heavyjobs run starts one"),
        (
            [coordinator(silent_seconds=300)],
            "no coordinator is running (host-a was last heard of 5 min 00 s ago); heavyjobs run starts one",
        ),
        (
            [coordinator(drains=True)],
            "no coordinator is running (host-a drains, and takes nothing new); heavyjobs run starts one",
        ),
    ],
)
def test_coordinators_that_take_nothing_do_not_count(found: list[CoordinatorRecord], told: str) -> None:
    assert unserved(job(state=JobState.SCHEDULED), found, now=NOW) == [told]


def test_a_queue_that_nobody_serves_is_told_with_those_that_are_served() -> None:
    waiting = job(queue="nobody\x1b")

    assert unserved(waiting, [coordinator()], now=NOW) == [
        (
            "no coordinator serves queue nobody␛ (served: default, films); add it to a coordinator's configuration, "
            f"or heavyjobs update {short_id(waiting.id)} --queue NAME"
        )
    ]


def test_a_kind_that_nobody_runs_is_told_with_what_could_not_be_loaded() -> None:
    found = [coordinator(kinds={}, problems=("module film_jobs: ImportError: no \x1b[2J",)), coordinator("host-b", kinds={})]

    assert unserved(job(), found, now=NOW) == [
        (
            "no coordinator of queue films runs kind film.cut; "
            "list its module under modules in heavyjobs.toml and restart heavyjobs run"
        ),
        "host-a: module film_jobs: ImportError: no ␛[2J",
    ]


def test_a_version_that_nobody_runs_yet_is_told_with_the_newest_that_is_run() -> None:
    assert unserved(job(version=3), [coordinator(), coordinator("host-b", kinds={"film.cut": 2})], now=NOW) == [
        (
            "no coordinator of queue films runs kind film.cut in version 3 (only up to version 2); "
            "update its module and restart heavyjobs run"
        )
    ]


# -- the commands


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.02)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("command", [["wait"], ["wait", "--json"]])
def test_waiting_for_a_job_that_nobody_will_run_says_so_once(stage: Stage, command: list[str]) -> None:
    name = short_id_of(stage.submit("--queue", "nobody"))
    stage.serve()

    result = stage.run(*command, name, "--timeout", "500ms")

    assert result.exit_code == Exit.TIMED_OUT
    assert result.stderr == (
        f"job {name} is still ready: no coordinator serves queue nobody (served: default, films); "
        f"add it to a coordinator's configuration, or heavyjobs update {name} --queue NAME\n"
    )


@pytest.mark.usefixtures("soon")
def test_a_job_that_waits_its_turn_is_waited_for_in_silence(stage: Stage) -> None:
    job = stage.submit()
    stage.serve()

    assert stage.run("wait", job, "--timeout", "200ms").stderr == ""


def test_a_coordinator_that_is_just_starting_is_not_missed(stage: Stage) -> None:
    assert stage.run("wait", stage.submit(), "--timeout", "500ms").stderr == ""


@pytest.mark.parametrize("arguments", [["submit", "film.cut", "--source", "a", "--follow"], ["logs", "-f"]])
def test_following_a_job_that_nobody_will_run_says_so(stage: Stage, arguments: list[str]) -> None:
    arguments = [*arguments, stage.submit()] if arguments[0] == "logs" else arguments
    with stage.start(*arguments) as process:
        assert process.stderr
        told = process.stderr.readline()
        process.terminate()

    assert told.endswith(" is still ready: no coordinator is running; heavyjobs run starts one\n")


def test_a_submit_that_does_not_wait_remarks_that_no_coordinator_runs(stage: Stage) -> None:
    alone = stage.run("submit", "film.cut", "--source", "a", "--json")
    stage.serve()
    served = stage.run("submit", "film.cut", "--source", "a", "--json")

    assert json.loads(alone.stdout)["state"] == "ready"
    assert alone.stderr == "no coordinator is running; heavyjobs run starts one\n"
    assert (served.exit_code, served.stderr) == (Exit.OK, "")


def test_show_of_a_waiting_job_says_why_nobody_will_run_it(stage: Stage) -> None:
    job = stage.submit()

    before = stage.answer("show", job).splitlines()
    stage.serve()
    after = stage.answer("show", job).splitlines()

    assert before[1] == "no coordinator is running; heavyjobs run starts one"
    assert after == [before[0], *before[2:]]


def test_logs_of_a_job_that_was_never_begun_say_so(stage: Stage) -> None:
    result = stage.run("logs", stage.submit())

    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert result.stderr.splitlines() == [
        "no attempt so far: ready",
        "no coordinator is running; heavyjobs run starts one",
    ]


def short_id_of(job: str) -> str:
    return f"{job[:8]}-{job[-6:]}"
