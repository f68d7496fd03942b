"""`list`, `show`, `logs`, `wait`: what people are told about jobs."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from heavyjobs.cli.exits import Exit
from heavyjobs.logs import encode_lines, join_lines
from heavyjobs.model import Cause, Ending, JobState, Move, Source, short_id
from heavyjobs.store.records import LogChunk
from heavyjobs.testing.contract.harness import new_job
from tests.cli.stage import Stage

CRASH = Cause(Ending.CRASHED, "killed by signal 9", signal=9)


def spawned(stage: Stage, parent: str, *, key: str = "k") -> str:
    """The id of a new child."""
    child = new_job(parent=UUID(parent), child_key=key, depth=1)
    stage.play(lambda store, _: store.submit([child]))
    return str(child.id)


@pytest.fixture
def retried(stage: Stage) -> str:
    """A job whose first attempt crashed and whose second succeeded."""
    job = stage.submit()
    first = stage.claim()
    stage.say(first, "one", "two")
    stage.die(first, CRASH, move=Move(JobState.READY))
    second = stage.claim()
    stage.say(second, "three", status='{"done":1,"total":2}')
    stage.succeed(second)
    return job


# -- list


def test_a_list_is_aligned_and_newest_first(stage: Stage) -> None:
    older, newer = stage.submit(), stage.submit("--queue", "a-long-name", "--delay", "1h")

    header, first, second = stage.answer("list").splitlines()

    assert header.split() == ["id", "kind", "state", "queue", "attempt", "submitted"]
    assert first.split()[:4] == [f"{newer[:8]}-{newer[-6:]}", "film.cut", "scheduled", "a-long-name"]
    assert second.split()[:4] == [f"{older[:8]}-{older[-6:]}", "film.cut", "ready", "films"]
    assert first.index("a-long-name") == second.index("films") == header.index("queue")


def test_a_list_is_filtered_and_limited(stage: Stage) -> None:
    stage.submit("--delay", "1h")
    ready = stage.submit()
    stage.submit("--queue", "other")

    found = stage.answer("list", "--state", "ready", "--queue", "films", "--kind", "film.cut", "--json").splitlines()

    assert [json.loads(line)["id"] for line in found] == [ready]
    assert len(stage.answer("list", "--limit", "2", "--json").splitlines()) == 2


def test_a_list_is_limited_to_what_a_job_spawned(stage: Stage) -> None:
    parent = stage.submit()
    child = spawned(stage, parent)

    (found,) = stage.answer("list", "--parent", parent, "--json").splitlines()

    assert json.loads(found)["id"] == child


def test_an_empty_list_is_a_remark_and_no_answer(stage: Stage) -> None:
    stage.answer("migrate")

    result = stage.run("list")

    assert (result.exit_code, result.stdout, result.stderr) == (Exit.OK, "", "no jobs\n")


# -- show


def test_show_tells_everything_about_a_job(stage: Stage, retried: str) -> None:
    page = stage.answer("show", retried)

    assert page.splitlines()[0].split()[:3] == [f"{retried[:8]}-{retried[-6:]}", "film.cut", "succeeded"]
    assert "queue      films, priority 0\n" in page
    assert "attempts   2 of 2, backoff 0 ms up to 10 min 00 s\n" in page
    assert "\nparameters\n  source   a.mkv\n" in page
    assert "\nresult\n  count  3\n  bytes  2.0 KiB\n" in page
    first, second = page.splitlines()[-2:]
    assert first.startswith("  1  host-a, slot 2  ")
    assert "crashed after 9 min 29 s: killed by signal 9" in first
    assert second.endswith("succeeded in 9 min 29 s                       CPU 17 min 02 s, peak 412 MiB, read 1.0 GiB")


def test_show_of_a_dead_job_tells_its_cause_and_traceback_safely(stage: Stage) -> None:
    job = stage.submit()
    trace = 'Traceback:\n  File "a.py"\nTorn: \x1b[2J7'
    stage.die(stage.claim(), Cause(Ending.RAISED, "torn \u202e7", "film.Torn", trace))

    page = stage.answer("show", job)

    assert '\ncause\n  raised: Torn: torn \\u202e7\n  Traceback:\n    File "a.py"\n  Torn: ␛[2J7\n' in page


def test_show_of_a_job_that_failed_tells_its_error_field_by_field(stage: Stage) -> None:
    job = stage.submit()
    stage.die(stage.claim(), Cause(Ending.FAILED, '{"frame":7}', "Torn"), error='{"frame":7}')

    page = stage.answer("show", job)

    assert "\ncause\n  failed: Torn\n\nerror\n  frame  7\n" in page
    assert "failed after 9 min 29 s: Torn: frame 7 " in page


def test_show_of_a_running_job_tells_its_status(stage: Stage) -> None:
    job = stage.submit()
    stage.say(stage.claim(), status='{"done":1,"total":2}')

    page = stage.answer("show", job)

    assert "\nstatus\n  done   1\n  total  2\n" in page
    assert "running for" in page


def test_show_as_json_embeds_what_the_job_stored(stage: Stage, retried: str) -> None:
    document = stage.document("show", retried)

    assert document["result"] == {"count": 3, "bytes": 2048}
    assert document["parameters"]["source"] == "a.mkv"
    first, second = document["invocations"]
    assert (first["attempt"], first["ending"], first["cause"]["signal"]) == (1, "crashed", 9)
    assert (second["status"], second["bill"]["memory_peak_bytes"]) == ({"done": 1, "total": 2}, 412 << 20)


def test_show_of_a_parent_lists_its_children(stage: Stage) -> None:
    parent = stage.submit()
    stage.claim()
    children = [spawned(stage, parent, key=str(number)) for number in range(2)]

    page = stage.answer("show", parent).splitlines()

    told = [f"  {child[:8]}-{child[-6:]}  demo.work  ready" for child in children]
    assert page[-3:] == ["children", *told]


def test_show_of_a_job_that_was_sent_again_tells_its_epochs(stage: Stage) -> None:
    job = stage.submit()
    stage.die(stage.claim(), CRASH)
    stage.answer("retry", job)
    stage.succeed(stage.claim())

    page = stage.answer("show", job).splitlines()

    first, second = page.index("attempts of epoch 1"), page.index("attempts of epoch 2")
    assert page[first + 1].split()[0] == page[second + 1].split()[0] == "1"
    assert "crashed" in page[first + 1]
    assert "succeeded" in page[second + 1]


@pytest.mark.parametrize("cut", [lambda job: job, lambda job: job[-6:], lambda job: f"{job[:8]}-{job[-6:]}", str.upper])
def test_a_job_is_found_by_its_id_its_end_or_its_short_form(stage: Stage, cut: object) -> None:
    job = stage.submit()
    assert callable(cut)

    assert stage.document("show", cut(job))["id"] == job


# -- logs


def test_logs_tell_each_attempt_with_its_lines_and_its_end(stage: Stage, retried: str) -> None:
    lines = stage.answer("logs", retried).splitlines()

    assert [line.split("    ")[-1] for line in lines] == [
        "attempt 1   host-a, slot 2",
        "one",
        "two",
        "crashed after 9 min 29 s: killed by signal 9   (CPU 17 min 02 s, peak 412 MiB)",
        "attempt 2   host-a, slot 2",
        "three",
        "succeeded in 9 min 29 s   (CPU 17 min 02 s, peak 412 MiB)",
    ]


def test_following_a_job_that_has_ended_tells_the_same(stage: Stage, retried: str) -> None:
    assert stage.answer("logs", retried, "-f") == stage.answer("logs", retried)


def test_an_attempt_that_said_nothing_is_told_too(stage: Stage) -> None:
    job = stage.submit()
    stage.die(stage.claim(), CRASH, move=Move(JobState.READY))
    stage.succeed(stage.claim())

    followed = stage.answer("logs", job, "-f")

    assert [line.split()[0] for line in followed.splitlines() if line.startswith("attempt")] == ["attempt", "attempt"]
    assert followed == stage.answer("logs", job)


def test_one_attempt_can_be_chosen_and_read_raw(stage: Stage, retried: str) -> None:
    assert stage.answer("logs", retried, "--attempt", "1", "--raw") == "one\ntwo\n"
    assert stage.answer("logs", retried, "--attempt", "2", "--raw", "-f") == "three\n"


def test_an_attempt_is_one_of_the_newest_epoch_unless_another_is_named(stage: Stage) -> None:
    job = stage.submit()
    for text in ("old", "new"):
        claim = stage.claim()
        stage.say(claim, text)
        stage.die(claim, CRASH)
        stage.answer("retry", job)

    assert stage.answer("logs", job, "--raw", "--attempt", "1", "--epoch", "1") == "old\n"
    assert stage.answer("logs", job, "--raw", "--epoch", "2") == "new\n"
    assert stage.run("logs", job, "--attempt", "1").stderr == (
        f"heavyjobs: job {job[:8]}-{job[-6:]}: no attempt 1 in epoch 3; "
        "attempts there are: epoch 1: 1; epoch 2: 1; epoch 3: none yet; --epoch chooses\n"
    )


def test_an_attempt_that_is_still_to_come_is_waited_for(stage: Stage) -> None:
    job = stage.submit()
    stage.die(stage.claim(), CRASH)
    stage.answer("retry", job)
    with stage.start("logs", job, "-f", "--attempt", "2") as process:
        assert process.stdout
        stage.die(stage.claim(), CRASH, move=Move(JobState.READY))
        second = stage.claim()
        stage.say(second, "two")
        header = process.stdout.readline()
        stage.succeed(second)
        rest = process.stdout.read().splitlines()

        assert process.wait() == Exit.OK
    assert header.startswith("attempt 2 of epoch 2   host-a, slot 2")
    assert rest[0].endswith("    two")


def test_an_attempt_that_cannot_come_any_more_is_not_waited_for(stage: Stage) -> None:
    job = stage.submit()

    result = stage.run("logs", job, "-f", "--attempt", "3")  # of 2

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert result.stderr.endswith(": no attempt 3; attempts: none yet\n")


def test_an_epoch_cannot_be_followed_as_a_whole(stage: Stage) -> None:
    assert stage.run("logs", "1", "-f", "--epoch", "1").stderr == "heavyjobs: logs: with -f, --epoch needs --attempt\n"


def test_logs_as_json_are_one_object_per_line(stage: Stage, retried: str) -> None:
    lines = [json.loads(line) for line in stage.answer("logs", retried, "--json").splitlines()]

    assert [(line["claim"], line["number"], line["text"]) for line in lines] == [(1, 0, "one"), (1, 1, "two"), (2, 0, "three")]
    assert lines[0]["source"] == "stdout"


def test_a_long_line_that_was_stored_in_pieces_is_shown_as_one(stage: Stage) -> None:
    job, text = stage.submit(), "x" * 40_000
    claim = stage.claim()
    pieces = encode_lines(1_700_000_000.0, Source.STDOUT, None, text)
    chunk = LogChunk(claim=claim, first=0, lines=len(pieces), data=join_lines(pieces))
    stage.play(lambda store, session: store.record(session, progress=[], logs=[chunk], ends=[]))

    assert len(pieces) > 1
    assert stage.answer("logs", job, "--raw") == text + "\n"


def test_a_followed_log_shows_statuses_and_goes_on_through_retries(stage: Stage) -> None:
    job = stage.submit()
    with stage.start("logs", job, "-f") as process:
        assert process.stdout
        claim = stage.claim()
        stage.say(claim, "one", status='{"done":1,"total":4,"unit":"bytes"}')
        shown = [process.stdout.readline().strip() for _ in range(3)]
        stage.die(claim, CRASH, move=Move(JobState.SCHEDULED, delay_seconds=0.0))
        shown.append(process.stdout.readline().strip())
        again = stage.claim()
        stage.say(again, "two")
        stage.succeed(again)
        rest = process.stdout.read().splitlines()

        assert process.wait() == Exit.OK
    assert {line.split("    ")[-1] for line in shown[:3]} == {"attempt 1   host-a, slot 2", "25 %   1 B", "one"}
    assert "crashed after 9 min 29 s: killed by signal 9" in shown[3]
    assert "attempt 1 of 2, next one" in shown[3]
    assert rest[0] == "attempt 2   host-a, slot 2"
    assert rest[-1].endswith("succeeded in 9 min 29 s   (CPU 17 min 02 s, peak 412 MiB)")


def test_one_attempt_is_followed_to_its_own_end(stage: Stage) -> None:
    job = stage.submit()
    claim = stage.claim()
    stage.say(claim, "one")
    with stage.start("logs", job, "-f", "--attempt", "1") as process:
        assert process.stdout
        shown = [process.stdout.readline() for _ in range(2)]
        stage.die(claim, CRASH, move=Move(JobState.READY))
        rest = process.stdout.read().splitlines()

        assert process.wait() == Exit.OK
    assert shown[1].endswith("    one\n")
    assert len(rest) == 1
    assert "crashed" in rest[0]


# -- wait


def test_wait_answers_with_the_result_and_its_code(stage: Stage, retried: str) -> None:
    head, *rest = stage.answer("wait", retried).splitlines()

    assert head.split()[1:3] == ["film.cut", "succeeded"]
    assert rest == ["  count  3", "  bytes  2.0 KiB"]


def test_wait_gives_up_after_its_timeout_and_leaves_the_job(stage: Stage) -> None:
    job = stage.submit()

    result = stage.run("wait", job, "--timeout", "10ms")

    assert result.exit_code == Exit.TIMED_OUT
    assert result.stdout.split()[1:] == ["film.cut", "ready"]


def test_wait_tells_a_cancelled_job_by_its_code(stage: Stage) -> None:
    job = stage.submit()
    stage.answer("cancel", job)

    assert stage.run("wait", job).exit_code == Exit.CANCELLED
    assert short_id(stage.jobs()[0].id) in stage.run("wait", job).stdout
