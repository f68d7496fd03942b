"""The README is true: its examples run as they stand, and both checkers accept them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILES = {body.splitlines()[0].removeprefix("# "): body for language, body in BLOCKS if language in {"python", "toml"}}
COMMANDS = [line.removeprefix("$ ") for language, body in BLOCKS if language == "console" for line in body.splitlines() if line]


def run(*argv: str, cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def heavyjobs(command: str, cwd: Path) -> str:
    return run(sys.executable, "-m", "heavyjobs", *shlex.split(command)[1:], cwd=cwd)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the README's files, something to digest and something to pack."""
    for name, body in FILES.items():
        (tmp_path / name).write_text(body, "utf-8")
    (tmp_path / "music").mkdir()
    for number in range(3):
        (tmp_path / "music" / f"{number}.flac").write_bytes(os.urandom(1000))
    for reel in ("1", "2"):
        (tmp_path / "film" / reel).mkdir(parents=True)
        (tmp_path / "film" / reel / "scene").write_bytes(os.urandom(1000))
    return tmp_path


@pytest.fixture
def daemon(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-m", "heavyjobs", "run"], cwd=place) as process:
        yield process
        if process.poll() is None:
            process.terminate()
        assert process.wait(30) == 0


def test_the_first_two_commands_are_the_two_scripts() -> None:
    assert COMMANDS[:2] == ["scripts/demo", "scripts/test"]
    assert all(os.access(ROOT / command, os.X_OK) for command in COMMANDS[:2])


@pytest.mark.usefixtures("daemon")
def test_application_code_of_the_readme_runs_as_it_stands(place: Path) -> None:
    said = run(sys.executable, "app.py", cwd=place)
    digest = run(sys.executable, "script.py", cwd=place).strip()

    assert "3 of 3" in said
    assert "digested music/0.flac" in said
    assert said.strip().endswith(f"3 {digest}")


@pytest.mark.usefixtures("daemon")
def test_the_family_of_jobs_of_the_readme_runs_as_it_stands(place: Path) -> None:
    said = heavyjobs("heavyjobs submit film.pack --film film --wait --json", place)

    packed = {path.name: path.stat().st_size for path in (place / "film").glob("*.tgz")}
    assert sorted(packed) == ["1.tgz", "2.tgz"]
    assert json.loads(said)["result"] == sum(packed.values())
    reels = [json.loads(line)["id"] for line in heavyjobs("heavyjobs list --kind film.pack_reel --json", place).splitlines()]
    logs = "".join(heavyjobs(f"heavyjobs logs {reel}", place) for reel in reels)
    assert "packed film/1/scene" in logs
    assert "packed film/2/scene" in logs


def test_every_command_of_the_readme_does_what_it_says(place: Path, daemon: subprocess.Popen[bytes]) -> None:
    ids: dict[str, str] = {}
    for command in COMMANDS[2:]:
        if command == "heavyjobs run":
            continue  # the fixture's
        for name, value in ids.items():
            command = command.replace(f"${name}", value)  # noqa: PLW2901
        heavyjobs(command, place)
        if "submit folder.digest" in command:
            newest = json.loads(heavyjobs("heavyjobs list --kind folder.digest --limit 1 --json", place))["id"]
            ids["NEW" if "--delay" in command else "ID"] = newest[-12:]
    assert daemon.wait(30) == 0


@pytest.mark.parametrize(
    "checker", [["-m", "mypy", "--strict"], ["-m", "pyright", "--pythonpath", sys.executable]], ids=["mypy", "pyright"]
)
def test_checkers_accept_the_readme(place: Path, checker: list[str]) -> None:
    (place / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    run(sys.executable, *checker, *(name for name in FILES if name.endswith(".py")), cwd=place)
