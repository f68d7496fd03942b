"""Files with holes, as the system's tar stores and extracts them."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from pathlib import Path
from typing import Final

import pytest

from heavyjobs.jobs import Extract
from heavyjobs.jobs.trouble import Refused
from tests.jobs.archives import convert, extract, pack
from tests.jobs.folders import listing
from tests.jobs.mortal import run_until

STYLES: Final = [
    ["--format=gnu"],
    ["--format=oldgnu"],
    ["--format=pax", "--sparse-version=0.0"],
    ["--format=pax", "--sparse-version=0.1"],
    ["--format=pax", "--sparse-version=1.0"],
]
APPARENT_BYTES: Final = 40 << 20


def full_of_holes(path: Path) -> Path:
    """More pieces than a header has room for, at odd places, and a hole at the end."""
    with path.open("wb") as file:
        for number in range(30):
            file.seek(number * 1_234_567)
            file.write(os.urandom(3000) + bytes(100_000) + b"end")
        file.truncate(APPARENT_BYTES)
    return path


def stored(path: Path, archive: Path, *style: str) -> Path:
    subprocess.run(["tar", "--sparse", *style, "-cf", archive, "-C", path.parent, path.name], check=True)
    assert archive.stat().st_size < APPARENT_BYTES / 4
    return archive


@pytest.mark.parametrize("style", STYLES, ids=" ".join)
def test_a_sparse_file_has_its_holes_again(tmp_path: Path, style: list[str]) -> None:
    archive = stored(full_of_holes(tmp_path / "sparse"), tmp_path / "a.tar", *style)
    (tmp_path / "system").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "system"], check=True)

    result = extract(archive, tmp_path / "out").result

    made = tmp_path / "out/sparse"
    assert subprocess.run(["cmp", made, tmp_path / "system/sparse"], check=False).returncode == 0
    assert made.stat().st_size == result.bytes == APPARENT_BYTES
    assert made.stat().st_blocks * 512 < APPARENT_BYTES / 4
    line = f"{hashlib.sha256((tmp_path / 'sparse').read_bytes()).hexdigest()}  sparse\n"
    assert result.sha256 == hashlib.sha256(line.encode()).hexdigest()


def test_a_file_that_was_not_stored_sparse_gets_no_holes(tmp_path: Path) -> None:
    """Its maker may have wanted the room."""
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    pack(tmp_path / "zeros", tmp_path / "a.tar")

    extract(tmp_path / "a.tar", tmp_path / "out").result  # noqa: B018 - raises when it failed

    assert (tmp_path / "out/zeros").stat().st_blocks * 512 >= 1 << 20


def test_a_file_of_nothing_but_a_hole_has_its_length(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(APPARENT_BYTES + 1)
    archive = stored(tmp_path / "hole", tmp_path / "a.tar")

    extract(archive, tmp_path / "out").result  # noqa: B018 - raises when it failed

    assert (tmp_path / "out/hole").stat().st_size == APPARENT_BYTES + 1
    assert (tmp_path / "out/hole").stat().st_blocks * 512 <= 4096


@pytest.mark.fault("security: a sparse archive of a kilobyte that unpacks to more than the disk should hold")
def test_a_hole_counts_as_much_as_bytes(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 40)
    archive = stored(tmp_path / "hole", tmp_path / "a.tar")

    error = extract(archive, tmp_path / "out", max_bytes="8MiB").error

    assert isinstance(error, Refused)
    assert "more than 8.0 MiB" in error.what
    assert not (tmp_path / "out").exists()


@pytest.mark.fault("process: an extraction of a file with holes is killed between any two lines, again and again")
def test_holes_are_the_same_wherever_it_was_killed(tmp_path: Path) -> None:
    archive = stored(full_of_holes(tmp_path / "sparse"), tmp_path / "a.tar")
    (tmp_path / "store").mkdir()
    job = Extract(source=str(archive), target=str(tmp_path / "out"))
    draw = random.Random("holes")  # noqa: S311 - not for secrets

    deaths = sum(run_until(draw.randrange(500, 3000), tmp_path / "store", job) is None for _ in range(6))
    said = run_until(1 << 30, tmp_path / "store", job)

    assert deaths >= 2
    assert said is not None
    assert (tmp_path / "out/sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (tmp_path / "out/sparse").stat().st_blocks * 512 < APPARENT_BYTES / 4


def test_a_converted_sparse_file_has_all_its_bytes(tmp_path: Path) -> None:
    archive = stored(full_of_holes(tmp_path / "sparse"), tmp_path / "a.tar")

    assert convert(archive, tmp_path / "b.zip").result.content_bytes == APPARENT_BYTES

    said = subprocess.run(["unzip", "-p", tmp_path / "b.zip", "sparse"], check=True, capture_output=True).stdout
    assert said == (tmp_path / "sparse").read_bytes()


def test_a_sparse_file_may_hold_any_digits(tmp_path: Path) -> None:
    """What would be a hostile header is nothing but data here."""
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "digits").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"1234567890" * 1000)
        file.truncate(3 << 20)
    subprocess.run(["tar", "-Scf", tmp_path / "a.tar", "-C", folder, "."], check=True)

    assert extract(tmp_path / "a.tar", tmp_path / "out").error is None

    assert listing(tmp_path / "out") == listing(folder)
