"""Help, and what the README says about commands."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from heavyjobs.cli.app import COMMANDS, app
from heavyjobs.cli.exits import MEANINGS, Exit
from tests.cli.stage import Stage

README = Path(__file__).parent.parent.parent / "README.md"


def test_the_help_names_every_command_whole_and_every_exit_code(stage: Stage) -> None:
    answer = stage.answer("--help")

    assert "..." not in answer.partition("Commands:")[2].partition("Exit codes:")[0]
    for command in COMMANDS:
        assert f"\n  {command} " in answer
    for code in Exit:
        assert f"\n  {code.value} " in answer
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "submit"])
def test_every_command_and_every_option_has_help(stage: Stage, command: str) -> None:
    found = app.get_command(click.Context(app), command)
    assert found is not None

    answer = stage.answer(command, "--help")

    assert found.help
    assert "--config FILE" in answer
    assert "--database URL" in answer
    assert all(option.help for option in found.params if isinstance(option, click.Option))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command: str) -> None:
    assert f"heavyjobs {command}" in README.read_text()


def test_without_a_command_the_help_is_shown_and_nothing_is_done(stage: Stage) -> None:
    result = stage.run()

    assert result.exit_code == Exit.USAGE
    assert "Commands:" in result.stderr
    assert result.stdout == ""


def test_the_version_is_told(stage: Stage) -> None:
    assert stage.answer("--version").count(".") == 2


def test_common_options_do_the_same_before_and_after_the_command(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").rename(stage.folder / "other.toml")

    before = stage.answer("--config", "other.toml", "check-config")
    after = stage.answer("check-config", "--config", "other.toml")

    assert before == after
    assert 'modules = ["film_jobs"]' in after


def test_the_configuration_may_be_named_by_a_variable(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").rename(stage.folder / "other.toml")

    result = stage.run("check-config", environ={"HEAVYJOBS_CONFIG": "other.toml"})

    assert result.stdout.startswith("# other.toml\n")
    assert 'modules = ["film_jobs"]' in result.stdout


def test_the_shell_completes_kinds_and_choices(stage: Stage) -> None:
    environ = {"_HEAVYJOBS_COMPLETE": "bash_complete", "COMP_CWORD": "4", "COMP_WORDS": "heavyjobs submit film.cut --codec a"}

    assert "av1" in stage.run(environ=environ).stdout
    assert "film.cut" in stage.run(environ={**environ, "COMP_CWORD": "2", "COMP_WORDS": "heavyjobs submit film"}).stdout
