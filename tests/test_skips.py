"""Tests that are left out are few, and say what is missing and where they would run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent

WHERE: Final = {
    "coordinator/test_host.py",
    "faults/disks.py",
    "faults/test_processes_guardian.py",
    "faults/test_processes_kernel.py",
    "jobs/foreign.py",
    "poolers.py",
    "security/test_confinement.py",
    "slots/test_tree.py",
    "test_lifeline.py",
    "test_logs.py",
    "testing/test_pooler_binaries.py",
}
"""Which tests need more than any machine has: root's rights, Linux, or libarchive. Whoever adds one, adds it here."""


def reasons() -> Iterator[tuple[str, str]]:
    """Each place in the tests that may leave one out, with what it says then."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="skip" | "skipif" | "importorskip" | "xfail"), args=args, keywords=named):
                    said = [word.value for word in named if word.arg == "reason"] or args
                    yield str(path.relative_to(TESTS)), " ".join(map(ast.unparse, said))
                case ast.Attribute(attr="skip" | "xfail", value=ast.Attribute(attr="mark")):
                    yield str(path.relative_to(TESTS)), "a mark without a reason"


def test_only_these_are_ever_left_out() -> None:
    assert {where for where, _ in reasons()} == WHERE


def test_whatever_is_left_out_says_what_is_missing_and_where_it_would_run() -> None:
    silent = [(where, said) for where, said in reasons() if "; run these tests " not in said]

    assert silent == []


def test_what_was_left_out_is_told_at_the_end_of_a_quiet_run_too(tmp_path: Path) -> None:
    (tmp_path / "test_skipping.py").write_text("import pytest\ndef test_one(): pytest.skip('no moon; wait')\n")
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        TESTS.parent / "pyproject.toml",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]

    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stdout
    assert "SKIPPED [1] test_skipping.py:2: no moon; wait" in done.stdout
