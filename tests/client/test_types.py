"""Both type checkers follow a job's types from submit to await, and object to what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
USAGE: Final = Path(__file__).with_name("typed_usage.py").read_text("utf-8")
WRONG: Final = """
from heavyjobs import Client
from tests.client.player import Bake

async def wrong(client: Client) -> None:
    handle = await client.submit(Bake())
    text: str = await handle.result()  # wrong
    await handle.update(urgency=3)  # wrong
    client.handle(handle.id, int)  # wrong
    await client.submit("archive.pack")  # wrong
    print((await handle.wait()).result)  # wrong
"""


def _mypy(folder: Path) -> str:
    argv = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, folder.glob("*.py"))]
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=ROOT).stdout


def _pyright(folder: Path) -> str:
    config = {"include": ["."], "typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    argv = [sys.executable, "-m", "pyright", "-p", str(folder), "--pythonpath", sys.executable]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout


@pytest.mark.parametrize("checker", [_mypy, _pyright])
def test_a_checker_sees_the_types_of_application_code_and_its_mistakes(checker: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "usage.py").write_text(USAGE)
    (tmp_path / "wrong.py").write_text(WRONG)

    said = checker(tmp_path)

    objections = [line for line in said.splitlines() if re.search(r"\.py:\d+.* error:", line)]
    assert [line for line in objections if "usage.py" in line] == []
    found = {int(match[1]) for line in objections if (match := re.search(r"wrong\.py:(\d+)", line))}
    assert found == {number for number, line in enumerate(WRONG.splitlines(), 1) if "# wrong" in line}, said
