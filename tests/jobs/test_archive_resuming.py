"""An archive whose making is killed between any two lines goes on, and ends as if nothing had been."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.job import Job
from heavyjobs.jobs import Convert, Pack
from heavyjobs.jobs.archive_checkpoint import Archived, Kept
from tests.jobs.archives import FORMATS, unpacked
from tests.jobs.folders import listing
from tests.jobs.mortal import INTERVAL_BYTES, checkpoint, run_until

DEATHS_MAX = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Many small files, a large one, links; so much that each attempt has several checkpoints."""
    folder = tmp_path / "in"
    for number in range(60):
        (folder / f"{number % 4}/{number}").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 4}/{number}").write_bytes(os.urandom(100 * number))
    (folder / "1/large").write_bytes(os.urandom(3 * INTERVAL_BYTES + 17))
    os.link(folder / "1/large", folder / "3/again")
    (folder / "2/link").symlink_to("../1/large")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.fault("process: the making of an archive is killed between any two lines, again and again")
@pytest.mark.parametrize("form", FORMATS)
def test_a_packing_goes_on_wherever_it_was_killed(tmp_path: Path, folder: Path, form: str) -> None:
    job = Pack(source=str(folder), target=str(_out(tmp_path) / f"a.{form}"))

    resumed, deaths = _run_to_its_end(tmp_path, job, most=3000)

    whole = _whole(tmp_path, Pack(source=str(folder), target=str(tmp_path / f"whole.{form}")))
    assert deaths > 1
    assert (tmp_path / f"out/a.{form}").read_bytes() == (tmp_path / f"whole.{form}").read_bytes()
    assert resumed.model_copy(update={"target": "", "path": ""}) == whole.model_copy(update={"target": "", "path": ""})
    assert listing(unpacked(tmp_path / f"out/a.{form}", tmp_path / "unpacked") / "in") == listing(folder)


@pytest.mark.parametrize(("form", "into"), [("tar.zst", "zip"), ("zip", "tar.gz"), ("tar.gz", "tar.xz")])
def test_a_conversion_goes_on_wherever_it_was_killed(tmp_path: Path, folder: Path, form: str, into: str) -> None:
    source = tmp_path / f"source.{form}"
    _whole(tmp_path, Pack(source=str(folder), target=str(source)))
    job = Convert(source=str(source), target=str(_out(tmp_path) / f"a.{into}"))

    _, deaths = _run_to_its_end(tmp_path, job, most=5000)

    _whole(tmp_path, Convert(source=str(source), target=str(tmp_path / f"whole.{into}")))
    assert deaths > 1
    assert (tmp_path / f"out/a.{into}").read_bytes() == (tmp_path / f"whole.{into}").read_bytes()


def test_what_changed_meanwhile_is_packed_anew(tmp_path: Path, folder: Path) -> None:
    job = Pack(source=str(folder), target=str(_out(tmp_path) / "a.tar"))
    _run_to_a_checkpoint(tmp_path, job)
    (folder / "0/0").write_text("new")

    assert run_until(1 << 30, tmp_path, job) is not None

    assert (unpacked(tmp_path / "out/a.tar", tmp_path / "unpacked") / "in/0/0").read_text() == "new"


def test_what_was_done_is_not_written_again(tmp_path: Path, folder: Path) -> None:
    job = Pack(source=str(folder), target=str(_out(tmp_path) / "a.zip"))
    kept = _run_to_a_checkpoint(tmp_path, job)
    (part,) = (tmp_path / "out").iterdir()
    with part.open("r+b") as file:
        file.seek(kept.size - 1)
        last = file.read(1)
        file.seek(kept.size - 1)
        file.write(bytes([last[0] ^ 1]))

    assert run_until(1 << 30, tmp_path, job) is not None

    with zipfile.ZipFile(tmp_path / "out/a.zip") as made:
        assert made.testzip() is not None, "the byte that was spoilt is still there"


def test_who_died_after_publishing_knows_that_the_target_is_its_own(tmp_path: Path, folder: Path) -> None:
    job = Pack(source=str(folder), target=str(_out(tmp_path) / "a.zip"))
    first = run_until(1 << 30, tmp_path, job)

    again = run_until(1 << 30, tmp_path, job)
    os.utime(tmp_path / "out/a.zip")
    with pytest.raises(AssertionError, match="FailRequested"):
        run_until(1 << 30, tmp_path, job)

    assert first is not None
    assert again == first


def _out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _whole(tmp_path: Path, job: Job[Any, Any, Any]) -> Archived:
    (tmp_path / "store of another").mkdir(exist_ok=True)
    for name in (tmp_path / "store of another").iterdir():
        name.unlink()
    said = run_until(1 << 30, tmp_path / "store of another", job)
    assert said is not None
    return Archived.model_validate_json(said)


def _run_to_its_end(tmp_path: Path, job: Job[Any, Any, Any], *, most: int) -> tuple[Archived, int]:
    """Kill it some times, then let it go on; its result and how often it died."""
    draw = random.Random(job.kind)  # noqa: S311 - not for secrets
    deaths, said = 0, None
    while said is None:
        said = run_until(draw.randrange(most // 10, most) if deaths < DEATHS_MAX else 1 << 30, tmp_path, job)
        deaths += said is None
    return Archived.model_validate_json(said), deaths


def _run_to_a_checkpoint(tmp_path: Path, job: Job[Any, Any, Any]) -> Kept:
    for line in range(2000, 100_000, 500):
        assert run_until(line, tmp_path, job) is None, "it ended before it could be killed"
        if kept := checkpoint(tmp_path):
            return Kept.model_validate_json(kept)
    raise AssertionError("no checkpoint")
