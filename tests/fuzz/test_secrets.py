"""However a database's URL is written: what may be its password is never shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.cli.app import app
from heavyjobs.errors import ConfigurationError
from heavyjobs.settings import load
from heavyjobs.store import open_store
from tests.fuzz.effort import effort

SECRET: Final = "zq9xv7"  # noqa: S105  # of nothing
AROUND: Final = st.text("@:/?#[]%&=+ '\"\\,;aé", max_size=4)
FORMS: Final = st.sampled_from(
    [
        "postgresql://u:{}@127.0.0.1:1/db", "postgresql://u:{}@127.0.0.1:1/db?sslmode=disable", "postgres://:{}@127.0.0.1:1/db",
        "postgresql://:{}@/db?host=/tmp", "postgresql://u:{}@[::1]:1/db", "postgresql://127.0.0.1:1/db?user=u&password={}",
        "postgresql://u:{}@a,b:1,2/db", "postgresql://u@127.0.0.1:1/db?password={}&x=y", "sqlite://u:{}@host/x.db",
        "sqlite:///x.db?password={}", "mysql://u:{}@127.0.0.1/db", "postgresql:/u:{}@127.0.0.1/db",
    ]
)  # fmt: skip


@pytest.mark.fault("input: a database URL with a password that is not encoded")
@effort(600)
@given(form=FORMS, before=AROUND, after=AROUND)
def test_the_password_of_a_url_is_never_shown(form: str, before: str, after: str) -> None:
    url = form.format(f"{before}{SECRET}{after}")

    assert SECRET not in _said(url)


def _said(url: str) -> str:
    """What people may read of a database with that URL, before anybody connects to it."""
    said = list[str]()
    try:
        said.append(open_store(url).url)
    except ConfigurationError as error:
        said.append(str(error))
    try:
        load(None, {}, database=url)
    except ConfigurationError as error:
        said.append(str(error))
    return "\n".join(said)


@pytest.mark.parametrize(
    "password", ["p@zq9xv7", "p/zq9xv7", "zq9xv7/p", "p#zq9xv7", "p?zq9xv7", "12/zq9xv7", "[zq9xv7", "p:zq9xv7"]
)
def test_a_command_that_fails_does_not_show_the_password(password: str) -> None:
    ran = CliRunner().invoke(app, ["--database", f"postgresql://u:{password}@127.0.0.1:1/db", "list"], catch_exceptions=False)

    assert ran.exit_code in {2, 3}
    assert SECRET not in ran.output
    with suppress(ValueError):
        assert SECRET not in ran.stderr
