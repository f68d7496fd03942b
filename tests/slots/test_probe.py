"""What the configured modules define is learnt without importing them here, and one that fails takes nothing else with it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from heavyjobs.slots.probe import Asked, KindSeen, Probed, probe

GOOD = """
from heavyjobs import AsyncContext, Context, Job

class Cut(Job[int], kind="film.cut", version=3):
    def run(self, ctx: Context) -> int:
        return 1

class Watch(Job[int], kind="film.watch"):
    async def run(self, ctx: AsyncContext) -> int:
        return 1
"""
KINDS = {"film.cut": KindSeen(version=3, waits=False), "film.watch": KindSeen(version=1, waits=True)}


async def probed(folder: Path, *, preload: tuple[str, ...] = (), **modules: str) -> Probed:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return await probe(Asked(path=(str(folder),), modules=tuple(modules), preload=preload))


async def test_kinds_are_told_with_their_newest_version_and_where_they_run(tmp_path: Path) -> None:
    assert await probed(tmp_path, good=GOOD) == Probed(kinds=KINDS)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("1 / 0", "module bad: ZeroDivisionError: division by zero ({folder}/bad.py:1)"),
        ("import nowhere", "module bad: ModuleNotFoundError: No module named 'nowhere' ({folder}/bad.py:1)"),
        ("raise SystemExit(3)", "module bad: SystemExit: 3 ({folder}/bad.py:1)"),
        ("import sys; sys.exit(0)", "module bad: SystemExit: 0 ({folder}/bad.py:1)"),
        ("import sys; sys.exit('set FOO')", "module bad: SystemExit: set FOO ({folder}/bad.py:1)"),
    ],
)
async def test_a_module_that_fails_is_a_problem_of_its_own(tmp_path: Path, bad: str, problem: str) -> None:
    found = await probed(tmp_path, bad=bad, good=GOOD)

    assert found == Probed(kinds=KINDS, problems=(problem.format(folder=tmp_path),))


async def test_a_module_that_ends_the_process_is_named_with_its_last_words(tmp_path: Path) -> None:
    found = await probed(tmp_path, bad="import os; os.write(2, b'first\\nlast words'); os._exit(7)")

    assert found == Probed(problems=("importing bad ended the process (7): last words",))


async def test_a_module_that_crashes_the_process_is_a_problem_and_not_an_error(tmp_path: Path) -> None:
    found = await probed(tmp_path, bad="import ctypes; ctypes.string_at(0)", good=GOOD)

    assert found == Probed(problems=(f"importing bad, good ended the process ({-signal.SIGSEGV}): ",))


@pytest.mark.parametrize("how", ["print('hello')", "import os; os.write(1, b'{}')", "import os; os.write(2, b'{}')"])
async def test_what_modules_print_is_not_taken_for_the_answer(tmp_path: Path, how: str) -> None:
    assert await probed(tmp_path, good=f"{how}\n{GOOD}") == Probed(kinds=KINDS)


async def test_only_what_can_be_imported_is_preloaded(tmp_path: Path) -> None:
    found = await probed(tmp_path, preload=("json", "nowhere"), good=GOOD)

    assert found.preload == ("json",)
    assert [problem.partition(" (")[0] for problem in found.problems] == [
        "module nowhere: ModuleNotFoundError: No module named 'nowhere'"
    ]
