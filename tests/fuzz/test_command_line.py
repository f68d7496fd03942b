"""Any words on the command line: an answer or a mistake that is told, never a bug; and nothing that acts on the terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.cli.app import app
from heavyjobs.cli.exits import Exit
from tests.fuzz.anything import DOCUMENTS, TEXTS
from tests.fuzz.effort import effort
from tests.fuzz.test_terminal import harmless

WORDS = TEXTS.filter(lambda text: "\0" not in text)
COMMANDS = st.one_of(
    st.tuples(st.sampled_from(["show", "logs", "wait", "cancel", "retry", "update", "drain"]), WORDS),
    st.tuples(st.sampled_from(["list"]), st.sampled_from(["--kind", "--queue", "--parent", "--state", "--limit"]), WORDS),
    st.tuples(st.just("update"), st.just("abc"), st.sampled_from(["--queue", "--priority", "--delay", "--memory"]), WORDS),
    st.tuples(
        st.just("submit"), st.just("storage.copy"), st.sampled_from(["--source", "--parameters", "--unique"]), WORDS | DOCUMENTS
    ),
    st.tuples(st.just("submit"), WORDS, st.just("--parameters"), DOCUMENTS),
    st.tuples(WORDS, WORDS),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('command_line')}/jobs.db"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HEAVYJOBS_CONFIG", "HEAVYJOBS_DEBUG"):
            patch.delenv(name, raising=False)
        assert CliRunner().invoke(app, ["--database", url, "migrate"]).exit_code == 0
        yield url


@pytest.mark.fault("input: odd words on the command line")
@effort(120)
@given(words=COMMANDS, as_json=st.booleans())
def test_any_words_are_answered_or_told_to_be_a_mistake(database: str, words: tuple[str, ...], as_json: bool) -> None:
    ran = CliRunner().invoke(app, ["--database", database, *words, *(["--json"] if as_json else [])])

    assert ran.exit_code in {Exit.OK, Exit.USAGE, Exit.DATABASE, Exit.TIMED_OUT}, ran.output
    assert harmless(ran.stdout)
    assert harmless(ran.stderr)


@pytest.mark.parametrize("word", [b"\xff", b"\x1b[2J", "\u202e".encode(), b"\xed\xa0\x80"])
def test_bytes_that_are_no_text_are_told_by_a_real_process(word: bytes, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable.encode(), b"-m", b"heavyjobs.cli", b"submit", word],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == Exit.USAGE
    assert harmless(ran.stderr.decode())
