"""Bad input and trouble: each says where, what and what would do, by a named exit code, without a trace, and writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest

from heavyjobs.cli import listing
from heavyjobs.cli.exits import Exit
from heavyjobs.errors import StoreUnavailable, UsageError
from tests.cli.stage import Stage

SUBMIT = ("submit", "film.cut")


def refused(stage: Stage, *arguments: str, code: Exit = Exit.USAGE, stdin: str | None = None) -> str:
    """What is said on stderr by a command that fails with that code and neither answers nor makes a database."""
    result = stage.run(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert "Traceback" not in result.stderr
    assert not stage.database.exists()
    return result.stderr


# -- the database


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://me:secret@db/jobs", "database URL: no store for mysql://; use sqlite:///relative.db"),
        ("heavyjobs.db", "database URL: no store for a URL without scheme; use sqlite:///relative.db"),
        ("sqlite://", "names no file"),
    ],
)
def test_a_wrong_url_is_refused_with_those_that_would_do(stage: Stage, url: str, told: str) -> None:
    said = refused(stage, *SUBMIT, "--source", "a", "--database", url)

    assert said.startswith("heavyjobs: ")
    assert told in said
    assert "secret" not in said


def test_an_unreachable_database_is_told_without_its_password(stage: Stage) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/jobs"

    said = refused(stage, *SUBMIT, "--source", "a", "--database", url, code=Exit.DATABASE)

    assert "127.0.0.1:1/jobs" in said
    assert "secret" not in said


@pytest.mark.parametrize("path", ["/no/such/folder/jobs.db", "/proc/jobs.db", "/tmp"])  # noqa: S108 - a folder, not a file
def test_a_sqlite_path_that_cannot_be_is_told(stage: Stage, path: str) -> None:
    said = refused(stage, *SUBMIT, "--source", "a", "--database", f"sqlite:///{path}", code=Exit.DATABASE)

    assert path in said


def test_a_file_that_is_no_database_is_told_and_left_alone(stage: Stage) -> None:
    other = stage.folder / "notes.txt"
    other.write_text("not a database, but long enough to look at " * 100)
    before = other.read_bytes()

    said = refused(stage, "list", "--database", f"sqlite:///{other}", code=Exit.DATABASE)

    assert "notes.txt" in said
    assert other.read_bytes() == before


def test_whoever_only_looks_makes_no_database(stage: Stage) -> None:
    said = refused(stage, "list", code=Exit.DATABASE)

    assert said == (
        f"heavyjobs: sqlite:///heavyjobs.db: there is no {stage.database}; "
        "heavyjobs run or submit makes it, --database names another one\n"
    )


def test_a_folder_that_is_not_there_is_told_with_how_to_make_it(stage: Stage) -> None:
    said = refused(stage, "list", "--database", "sqlite:///jobs/a.db", code=Exit.DATABASE)

    folder = stage.folder / "jobs"
    assert said == (
        f"heavyjobs: sqlite:///jobs/a.db: there is no folder {folder}; "
        f"make it: mkdir -p {folder}, or name another file with --database\n"
    )


def test_a_variable_that_is_not_set_is_told_under_the_option_that_names_it(stage: Stage) -> None:
    said = refused(stage, "list", "--database", "env:NOWHERE")

    assert said.startswith('heavyjobs: --database: "env:NOWHERE": the variable NOWHERE is not set; ')


def test_a_newer_schema_is_not_touched(stage: Stage) -> None:
    stage.answer("migrate")
    with sqlite3.connect(stage.database) as connection:
        connection.execute("UPDATE heavyjobs_schema_version SET version = 999, min_compatible = 999")
    connection.close()

    result = stage.run("list")

    assert result.exit_code == Exit.DATABASE
    assert "999" in result.stderr
    assert "upgrade" in result.stderr


# -- the configuration


def test_a_misspelt_key_is_told_with_what_was_meant(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").write_text('[coordinator]\ntick_evry = "1s"\nlease = "soon"\n')

    for command in (["run"], ["list"], ["check-config"], [*SUBMIT, "--source", "a"]):
        assert refused(stage, *command).splitlines() == [
            "heavyjobs: heavyjobs.toml: coordinator.lease: 'soon' is not a duration; write it like 30s, 5m, 1h 30m or 250ms",
            "heavyjobs: heavyjobs.toml: coordinator.tick_evry: no such key; did you mean tick_every?",
        ]


def test_a_configuration_that_is_not_there_is_told(stage: Stage) -> None:
    said = refused(stage, "--config", "absent.toml", "list")

    assert said == "heavyjobs: absent.toml: cannot be read: No such file or directory; name a readable file with --config\n"


# -- kinds and parameters


def test_an_unknown_kind_is_told_with_the_one_that_was_meant(stage: Stage) -> None:
    assert refused(stage, "submit", "film.cutt").splitlines() == [
        "heavyjobs: film.cutt: no such kind; did you mean film.cut?",
        "heavyjobs: one of your own is known once its module is listed under modules in heavyjobs.toml",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["film.cut: --source: is missing"]),
        (["--source", "a", "--scenes", "many"], ["film.cut: --scenes: Input should be a valid integer"]),
        (["--source", "a", "--scenes", "0"], ["film.cut: --scenes: Input should be greater than or equal to 1 (got '0')"]),
        (["--source", "a", "--codec", "vp8"], ["film.cut: --codec: Input should be 'h264' or 'av1' (got 'vp8')"]),
        (["--source", "a", "--margins", '{"befor": 1}', "--scenes", "x"], ["film.cut: --scenes:"]),
        (["--source", "a", "--margins", "1, 2"], ["--margins: not JSON: Extra data"]),
        (["--parameters", '{"source": "a", "sorce": "b"}'], ["film.cut: sorce: no such field; did you mean source?"]),
        (["--parameters", "[1]"], ['--parameters: not a JSON object; write it like {"source": "photos"}']),
        (["--parameters", '{"source": 1, "scenes": []}'], ["film.cut: --source: ", "film.cut: --scenes: "]),
        (["--parameters", '{"source": "a\\u0000b"}'], ["NUL character cannot be stored"]),
        (["--parameters", '{"source": "a\\ud800b"}'], ["film.cut"]),
        (["--source", "a", "--delay", "soon"], ["invalid value for '--delay': 'soon' is not a duration; write it like"]),
        (["--source", "a", "--attempts", "0"], ["attempts=0", "1 to 1000 would do"]),
        (["--source"], ["option '--source' requires an argument"]),
        (["--sorce", "a"], ["no such option", "'--source'"]),
    ],
)
def test_parameters_that_do_not_fit_are_told_by_their_options(stage: Stage, arguments: Sequence[str], told: list[str]) -> None:
    said = refused(stage, *SUBMIT, *arguments)

    assert said.startswith("heavyjobs: ")
    for text in told:
        assert text in said


def test_an_empty_unique_key_is_refused(stage: Stage) -> None:
    result = stage.run(*SUBMIT, "--source", "a", "--unique", "")

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "the unique key is empty" in result.stderr
    assert not stage.jobs()


# -- ids and commands


@pytest.mark.parametrize("command", ["show", "logs", "wait", "cancel", "retry"])
def test_an_id_that_nothing_has_is_told(stage: Stage, command: str) -> None:
    stage.submit()

    for tail in ("fffffffffff", "no-id-at-all"):
        result = stage.run(command, tail)

        assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
        assert tail in result.stderr


def test_an_ambiguous_id_is_told_with_those_it_may_mean(stage: Stage) -> None:
    jobs = [stage.submit() for _ in range(17)]  # of 17 hexadecimal digits two are equal
    tail = next(job[-1] for job in jobs if sum(other.endswith(job[-1]) for other in jobs) > 1)

    result = stage.run("show", tail)

    assert result.exit_code == Exit.USAGE
    assert f"several ids end in {tail}" in result.stderr


def test_an_attempt_that_was_not_made_is_told_with_those_that_were(stage: Stage) -> None:
    job = stage.submit()
    stage.say(stage.claim(), "one")

    result = stage.run("logs", job, "--attempt", "3")

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert result.stderr == f"heavyjobs: job {job[:8]}-{job[-6:]}: no attempt 3; attempts: 1\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lst"], "heavyjobs: lst: no such command; did you mean list?\nheavyjobs --help shows what would do\n"),
        (["list", "--limit", "0"], "invalid value for '--limit': 0 is not in the range 1<=x<=100000"),
        (["list", "--state", "runing"], "invalid value for '--state': 'runing' is not one of"),
        (["show"], "missing argument 'ID'\nheavyjobs show --help shows what would do\n"),
    ],
)
def test_a_mistake_in_the_command_is_told_with_where_help_is(stage: Stage, arguments: list[str], told: str) -> None:
    assert told in refused(stage, *arguments)


# -- bugs


def test_a_bug_is_told_in_one_line_unless_debugging(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x\x1b[2J")

    monkeypatch.setattr(listing, "with_client", broken)

    assert refused(stage, "list", code=Exit.BUG) == (
        "heavyjobs: KeyError: 'x\\x1b[2J'; this is a bug, HEAVYJOBS_DEBUG=1 shows where\n"
    )
    assert isinstance(stage.run("list", environ={"HEAVYJOBS_DEBUG": "1"}).exception, KeyError)


def test_errors_that_came_together_are_all_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ExceptionGroup("tasks", [UsageError("one"), ExceptionGroup("inner", [StoreUnavailable("two")])])

    monkeypatch.setattr(listing, "with_client", broken)

    assert refused(stage, "list", code=Exit.DATABASE) == "heavyjobs: one\nheavyjobs: two\n"
