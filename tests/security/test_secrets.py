"""Passwords that somebody must give us are shown to nobody: not by `ps`, not by any command, not in the coordinator's log."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr, ValidationError, model_validator

from heavyjobs import Context, Job
from heavyjobs.cli.app import app
from heavyjobs.cli.unseen import VARIABLE, without_passwords
from heavyjobs.errors import InvalidParameters
from heavyjobs.jobs.copy import Copy
from heavyjobs.masking import without_url_passwords
from tests.lifecycle.hosts import Daemon
from tests.security.conftest import WORK

SECRET = "zq9xv7"  # noqa: S105 - of nothing
URL = f"https://user:{SECRET}@example.org/a?b=c"


# -- secrets as parameters


class Account(BaseModel):
    password: SecretStr


@dataclass
class Token:
    text: SecretStr


class Login(Job[None], kind="security.login"):
    """Has secrets in all places where a parameter can have one."""

    short: Annotated[SecretStr, Field(min_length=20)] | None = None
    plain: SecretStr | None = None
    data: SecretBytes | None = None
    number: Secret[int] | None = None
    accounts: tuple[Account, ...] = ()
    tokens: dict[str, Token] | None = None

    def run(self, ctx: Context) -> None: ...

    @model_validator(mode="after")
    def _not_both(self) -> Login:
        if self.plain and self.data:
            raise ValueError("one of plain and data")
        return self


@pytest.mark.fault("security: a secret among the parameters of a job")
@pytest.mark.parametrize(
    "parameters",
    [
        {"plain": SECRET},
        {"data": SECRET},
        {"number": 424242},
        {"accounts": [{"password": SECRET}]},
        {"tokens": {"a": {"text": SECRET}}},
    ],
)
def test_a_secret_is_refused_and_neither_stored_nor_told(parameters: dict[str, Any]) -> None:
    job = Login.model_validate(parameters)

    with pytest.raises(InvalidParameters, match="pass a reference such as env:NAME") as refused:
        job.parameters()

    assert SECRET not in str(refused.value)
    assert "424242" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"short": SECRET},
        {"number": SECRET},
        {"plain": SECRET, "data": SECRET},
        {"accounts": SECRET},
        {"accounts": [{"password": [SECRET]}]},
        {"tokens": {"a": {"text": [SECRET]}}},
    ],
)
def test_a_secret_that_does_not_fit_is_not_told_either(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters) as refused:
        Login.parse(1, json.dumps(parameters))

    assert SECRET not in str(refused.value)


def test_what_is_no_secret_and_does_not_fit_is_told() -> None:
    with pytest.raises(InvalidParameters, match="got 'many'"):
        Fetch.parse(1, json.dumps({"times": "many"}))


class Fetch(Job[None], kind="security.fetch"):
    times: int

    def run(self, ctx: Context) -> None: ...


# -- URLs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (URL, "https://user:***@example.org/a?b=c"),
        ("from s3://key:a:b@h to ftp://u:p@h", "from s3://key:***@h to ftp://u:***@h"),
        ("redis://:p@h/0", "redis://:***@h/0"),
        ('{"a":"x://u:p@h","b":"c@d"}', '{"a":"x://u:***@h","b":"c@d"}'),
        ("http://host:8080/@scope/package", "http://host:8080/@scope/package"),
        ("http://host:8080 mail me@host", "http://host:8080 mail me@host"),
        ("ssh://git@host:22/x", "ssh://git@host:22/x"),
    ],
)
def test_passwords_in_urls_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert without_url_passwords(text) == shown


@pytest.mark.fault("security: a URL with a password in the parameters of a job")
def test_a_place_with_a_password_is_refused_before_it_is_stored() -> None:
    with pytest.raises(ValidationError, match="would be stored for all who may read the database"):
        Copy(source=URL, target="copy")


@pytest.mark.fault("security: a job says a URL with a password")
def test_no_command_and_no_log_of_a_coordinator_shows_the_password_of_a_url(url: str, daemon: Daemon) -> None:
    run = _commands(url)
    submitted = run("submit", "security.leak", "--url", URL, "--wait", "--json")
    (job,) = re.findall('"id": "(.*?)"', submitted)

    shown = [submitted, run("submit", "security.leak", "--url", URL, "--follow"), run("list"), run("list", "--json")]
    shown += [run(command, job, *option) for command in ("show", "logs", "wait") for option in ([], ["--json"])]

    assert not [text for text in shown if SECRET in text]
    assert len([text for text in shown if "user:***@example.org" in text]) >= 6
    assert SECRET not in daemon.said


def _commands(url: str) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HEAVYJOBS_MODULES", WORK)
            ran = CliRunner().invoke(app, ["--database", url, *arguments])
        assert ran.exit_code in {0, 1}, ran.output
        return ran.output

    return run


@pytest.mark.fault("security: passwords in the configuration")
def test_check_config_shows_no_password(tmp_path: Path) -> None:
    config = tmp_path / "heavyjobs.toml"
    address = f"postgresql://u:{SECRET}@h/db"
    config.write_text(
        f"""database = {{ url = "{address}", listen_url = "{address}" }}\nlocations.far.url = "sftp://u:{SECRET}@h/x"\n"""
    )

    ran = [CliRunner().invoke(app, ["check-config", "--config", str(config), *option]) for option in ([], ["--json"])]

    assert not [each.output for each in ran if SECRET in each.output]
    assert all(each.output.count("u:***@h") >= 3 for each in ran)


# -- the command line


@pytest.mark.parametrize(
    ("given", "left", "hidden"),
    [
        (["run", "--database", f"postgresql://u:{SECRET}@h/d"], ["run", "--database", f"env:{VARIABLE}"], True),
        ([f"--database=postgresql://u:{SECRET}@h/d", "run"], [f"--database=env:{VARIABLE}", "run"], True),
        (["--database", f"postgresql://h/d?password={SECRET}", "x"], ["--database", f"env:{VARIABLE}", "x"], True),
        (["--database", "sqlite:///jobs.db", "list"], ["--database", "sqlite:///jobs.db", "list"], False),
        (["submit", "x", "--source", "a://b:c@d"], ["submit", "x", "--source", "a://b:c@d"], False),
    ],
)
def test_only_a_database_with_a_password_is_taken_from_the_command_line(
    given: list[str], left: list[str], hidden: bool
) -> None:
    environ = dict[str, str]()

    assert without_passwords(given, environ) == left

    assert (VARIABLE in environ) is hidden
    assert SECRET not in " ".join(left)


@pytest.mark.fault("security: a password on the command line")
def test_ps_does_not_show_a_password_that_was_given_on_the_command_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/db"
        command = [sys.executable, "-m", "heavyjobs", "list", "--database", address]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                silent.settimeout(30)
                connected, _ = silent.accept()  # so it has understood what it was told
                seen = Path(f"/proc/{process.pid}/cmdline").read_text()
                connected.close()
            finally:
                process.kill()

    assert VARIABLE in seen
    assert SECRET not in seen
