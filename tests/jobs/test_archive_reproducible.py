"""Equal files become equal archives, whoever made them when and in which order; and archives of many members are whole."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path
from typing import Final

import pytest

from heavyjobs.jobs import Pack
from heavyjobs.jobs.archive_checkpoint import Archived
from heavyjobs.testing.inline import run_inline
from tests.jobs.archives import FORMATS, convert, info, tar_with, unpacked
from tests.jobs.folders import listing
from tests.jobs.test_archive_looking import list_

NAMES: Final = ["b", "a", "sub/z", "sub/deeper/é", "A", "sub.txt", "10", "9"]
MANY: Final = 65_600


def made(folder: Path, *, order: int, mask: int, time: int) -> Path:
    """The same tree, its files made in another order, under another umask, at another time."""
    before = os.umask(mask)
    try:
        for name in NAMES[::order]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{name}, " * 10_000)
        (folder / "link").symlink_to("sub/z")
        (folder / "a").chmod(0o700 if mask else 0o755)
    finally:
        os.umask(before)
    for path in folder.rglob("*"):
        os.utime(path, (time, time), follow_symlinks=False)
    return folder


def packed(source: Path, target: Path, *, reproducible: bool = True) -> Archived:
    return run_inline(Pack(source=str(source), target=str(target), reproducible=reproducible)).result


@pytest.mark.parametrize("form", FORMATS)
def test_equal_files_become_equal_archives(tmp_path: Path, form: str) -> None:
    one = made(tmp_path / "1/tree", order=1, mask=0o022, time=1_400_000_000)
    other = made(tmp_path / "2/tree", order=-1, mask=0o077, time=1_700_000_000)
    (other / "A").unlink()
    (other / "b").write_text("A, " * 10_000)
    os.link(other / "b", other / "A")  # equal files that share their bytes are no other files
    (one / "b").write_text("A, " * 10_000)

    sums = [packed(folder, tmp_path / f"{folder.parent.name}.{form}").sha256 for folder in (one, other)]

    assert sums[0] == sums[1]
    assert (tmp_path / f"1.{form}").read_bytes() == (tmp_path / f"2.{form}").read_bytes()
    assert packed(one, tmp_path / f"times.{form}", reproducible=False).sha256 != sums[0]
    system = unpacked(tmp_path / f"1.{form}", tmp_path / "system")
    assert listing(system / "tree") == listing(one)
    assert ((system / "tree/a").stat().st_mode & 0o777, (system / "tree/9").stat().st_mode & 0o777) == (0o755, 0o644)
    assert int((system / "tree/a").stat().st_mtime) == 315532800


def test_another_byte_or_name_is_another_archive(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", order=1, mask=0o022, time=1_400_000_000)
    first = packed(folder, tmp_path / "1.tar").sha256

    (folder / "9").rename(folder / "8")
    second = packed(folder, tmp_path / "2.tar").sha256
    (folder / "a").chmod(0o644)
    third = packed(folder, tmp_path / "3.tar").sha256

    assert len({first, second, third}) == 3


def test_a_zip_of_more_members_than_its_first_format_could_count_is_whole(tmp_path: Path) -> None:
    tar_with(tmp_path / "many.tar", *(info(f"{number}") for number in range(MANY)))

    result = convert(tmp_path / "many.tar", tmp_path / "many.zip").result

    assert (result.members, result.files) == (MANY, MANY)
    said = subprocess.run(["unzip", "-Z1", tmp_path / "many.zip"], check=True, capture_output=True, text=True).stdout
    assert said.split() == [f"{number}" for number in range(MANY)]
    assert subprocess.run(["unzip", "-qqt", tmp_path / "many.zip"], check=False).returncode == 0
    assert len(zipfile.ZipFile(tmp_path / "many.zip").namelist()) == MANY
    assert list_(tmp_path / "many.zip").result.members == MANY
