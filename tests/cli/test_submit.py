"""`heavyjobs submit`: from options to a job."""

from __future__ import annotations

import json
import re

from heavyjobs.cli.exits import Exit
from heavyjobs.model import Cause, Ending, JobState
from tests.cli.stage import Stage


def test_a_submitted_job_is_told_in_one_line_and_stored_as_its_type_says(stage: Stage) -> None:
    stage.serve()

    answer = stage.answer(
        "submit", "film.cut", "--source", "a.mkv", "--scenes", "3", "--tags", "x", "--tags", "y", "--param-wait"
    )

    (job,) = [json.loads(line) for line in stage.answer("list", "--json").splitlines()]
    assert answer == f"{job['id'][:8]}-{job['id'][-6:]}  film.cut  ready  queue films\n"
    assert job["parameters"] == {
        "source": "a.mkv", "scenes": 3, "loud": False, "tags": ["x", "y"], "codec": "h264", "margins": None, "wait": True,
    }  # fmt: skip
    assert (job["policy"]["queue"], job["policy"]["attempts"]) == ("films", 2)


def test_options_come_on_top_of_whole_parameters_from_stdin(stage: Stage) -> None:
    result = stage.run(
        "submit", "film.cut", "--parameters", "-", "--loud", "--json", stdin='{"source": "b.mkv", "loud": false}'
    )

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["parameters"]["source"] == "b.mkv"
    assert json.loads(result.stdout)["parameters"]["loud"] is True


def test_how_it_is_run_can_be_said_over_what_its_type_says(stage: Stage) -> None:
    over = ["--queue", "late", "--priority", "-5", "--attempts", "7", "--timeout", "2h", "--delay", "10m"]
    over += ["--memory", "2GiB", "--cpus", "1.5"]

    job = stage.document("show", stage.submit(*over))

    policy = job["policy"]
    assert (policy["queue"], policy["priority"], policy["attempts"], policy["timeout_seconds"]) == ("late", -5, 7, 7200.0)
    assert (policy["memory_bytes"], policy["cpus"]) == (2 << 30, 1.5)
    assert policy["backoff_seconds"] == 0
    assert job["state"] == "scheduled"


def test_a_unique_key_that_is_taken_submits_nothing_and_says_so(stage: Stage) -> None:
    stage.serve()
    first = stage.submit("--unique", "film:1")

    result = stage.run("submit", "film.cut", "--source", "b.mkv", "--unique", "film:1")

    assert result.exit_code == Exit.OK
    assert result.stderr == "not submitted again: unique key film:1 is taken by this job\n"
    assert result.stdout.startswith(first[:8])
    assert len(stage.answer("list", "--json").splitlines()) == 1


def test_the_help_of_submit_lists_the_kinds_with_what_they_do(stage: Stage) -> None:
    answer = stage.answer("submit", "--help")

    assert re.search(r"^  film\.cut +Cut a film into scenes\.$", answer, re.MULTILINE)
    assert not stage.database.exists()


def test_the_help_of_submit_lists_the_options_of_every_kind(stage: Stage) -> None:
    common = stage.answer("submit", "--help").partition("Options of every kind:")[2]

    for option in ("--wait", "--follow", "--delay", "--unique", "--queue", "--memory", "--cpus"):
        assert option in common


def test_the_help_of_a_kind_shows_its_parameters_and_keeps_its_lists(stage: Stage) -> None:
    answer = stage.answer("submit", "film.cut", "--help")

    assert "--source TEXT" in answer
    assert "The film. [required]" in answer
    assert "How many. [default: 10]" in answer
    assert "--loud / --no-loud" in answer
    assert "--param-wait / --no-param-wait" in answer
    assert "  - by colour\n  - by sound\n" in answer
    assert "  wrong       told as\n  ----------  -------\n  it is torn  `Torn`\n" in answer
    assert answer.index("Parameters:") < answer.index("--codec [h264|av1]") < answer.index("Options:")


def test_the_configuration_may_be_named_after_the_kind(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").rename(stage.folder / "other.toml")

    with stage.start("submit", "film.cut", "--source", "a") as process:
        assert process.wait() == Exit.USAGE
    with stage.start("submit", "film.cut", "--source", "a", "--config", "other.toml") as process:
        assert process.wait() == Exit.OK


def test_modules_of_the_current_folder_are_found(stage: Stage) -> None:
    (stage.folder / "my_jobs_here.py").write_text(
        "from heavyjobs.job import Job\n"
        "class Mine(Job, kind='mine.here'):\n"
        "    'Mine.'\n"
        "    def run(self, ctx): ...\n"
    )  # fmt: skip

    result = stage.run("submit", "mine.here", environ={"HEAVYJOBS_MODULES": "my_jobs_here"})

    assert result.exit_code == Exit.OK, result.output


# -- staying with the job


def test_waiting_ends_with_the_result(stage: Stage) -> None:
    stage.serve()
    with stage.start("submit", "film.cut", "--source", "a.mkv", "--follow") as process:
        assert process.stdout
        assert process.stderr
        submitted = process.stdout.readline()
        claim = stage.claim()
        stage.say(claim, "cutting", "\x1b[2Jhidden")
        stage.succeed(claim)
        rest = process.stdout.read().splitlines()

        assert process.wait() == Exit.OK
        assert process.stderr.read() == ""
    assert submitted.split()[1:] == ["film.cut", "ready", "queue", "films"]
    assert rest[0].startswith("attempt 1   host-a, slot 2")
    assert [line.split("    ")[1] for line in rest[1:3]] == ["cutting", "␛[2Jhidden"]
    assert rest[3].endswith("    succeeded in 9 min 29 s   (CPU 17 min 02 s, peak 412 MiB)")
    assert rest[4:] == ["  count  3", "  bytes  2.0 KiB"]


def test_the_exit_code_of_waiting_tells_a_dead_job(stage: Stage) -> None:
    with stage.start("submit", "film.cut", "--source", "a.mkv", "--wait") as process:
        assert process.stdout
        assert process.stderr
        assert "film.cut  ready" in process.stderr.readline()
        stage.die(stage.claim(), Cause(Ending.FAILED, "torn at 7", "Torn"), error='{"frame":7}')
        answer = process.stdout.read()

        assert process.wait() == Exit.DEAD
    assert stage.jobs()[0].state is JobState.DEAD
    assert answer.splitlines()[1:] == ["  failed: Torn", "  frame  7"]


def test_following_a_job_to_its_death_ends_with_the_state(stage: Stage) -> None:
    stage.serve()
    with stage.start("submit", "film.cut", "--source", "a.mkv", "--follow") as process:
        assert process.stdout
        process.stdout.readline()
        stage.die(stage.claim(), Cause(Ending.FAILED, '{"frame":7}', "Torn"), error='{"frame":7}')
        answer = process.stdout.read().splitlines()

        assert process.wait() == Exit.DEAD
    assert "    failed after 9 min 29 s: Torn: frame 7   (" in answer[1]
    assert answer[2:] == ["dead after attempt 1 of 2"]


def test_ctrl_c_ends_the_waiting_and_not_the_job(stage: Stage) -> None:
    with stage.start("submit", "film.cut", "--source", "a.mkv", "--follow") as process:
        assert process.stdout
        assert process.stderr
        job = process.stdout.readline().split()[0]
        process.send_signal(2)
        told = process.stderr.read()

        assert process.wait() == Exit.INTERRUPTED
    assert told.strip() == f"the job goes on; heavyjobs logs {job} -f, or heavyjobs cancel {job}"
    assert stage.jobs()[0].state is JobState.READY
