"""An extraction whose process is killed between any two lines goes on, and ends as if nothing had been."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from heavyjobs.jobs import Extract
from heavyjobs.jobs.extract_checkpoint import Extracted, Kept
from tests.jobs.archives import extract, pack
from tests.jobs.folders import listing
from tests.jobs.foreign import needs_libarchive, pack_7z
from tests.jobs.mortal import INTERVAL_BYTES, checkpoint, run_until

DEATHS_MAX = 8
LARGE_BYTES = 6 * INTERVAL_BYTES + 17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Many small files, a large one, links; so much that each attempt has several checkpoints."""
    folder = tmp_path / "in"
    for number in range(40):
        (folder / f"{number % 4}/{number}").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 4}/{number}").write_bytes(os.urandom(100 * number))
    (folder / "1/large").write_bytes(os.urandom(LARGE_BYTES))
    os.link(folder / "1/large", folder / "3/again")
    (folder / "2/link").symlink_to("../1/large")
    return folder


@pytest.mark.fault("process: an extraction is killed between any two lines, again and again")
@pytest.mark.parametrize("form", ["tar", "tar.zst", "zip", pytest.param("7z", marks=needs_libarchive)])
def test_it_goes_on_wherever_it_was_killed(tmp_path: Path, folder: Path, form: str) -> None:
    archive, keeping = tmp_path / f"a.{form}", tmp_path / "store"
    (pack_7z if form == "7z" else pack)(folder, archive)
    keeping.mkdir()
    draw = random.Random(form)  # noqa: S311 - not for secrets
    job = Extract(source=str(archive), target=str(tmp_path / "out/resumed"))
    (tmp_path / "out").mkdir()

    for _ in range(DEATHS_MAX):
        before = _safe(tmp_path / "out", keeping)
        said = run_until(draw.randrange(500, 5000), keeping, job)
        after = _inodes(tmp_path / "out")
        assert {name: after.get(name) for name in before} == before, "what a checkpoint covers is not written again"
        if said is not None:
            break
    else:
        said = run_until(1 << 30, keeping, job)

    assert said is not None
    whole = extract(archive, tmp_path / "whole").result
    resumed = Extracted.model_validate_json(said)
    assert int((keeping / "claim").read_text()) > 2, "it was killed at least twice"
    assert listing(tmp_path / "out/resumed") == listing(tmp_path / "whole")
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out/resumed"]
    assert (resumed.sha256, resumed.bytes, resumed.members) == (whole.sha256, whole.bytes, whole.members)


def test_who_died_after_publishing_knows_that_the_target_is_its_own(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "store").mkdir()
    pack(folder, tmp_path / "a.tar")
    job = Extract(source=str(tmp_path / "a.tar"), target=str(tmp_path / "out"))
    first = run_until(1 << 30, tmp_path / "store", job)
    written = _inodes(tmp_path / "out")

    again = run_until(1 << 30, tmp_path / "store", job)
    (tmp_path / "out/in/another").touch()
    os.utime(tmp_path / "out")
    with pytest.raises(AssertionError, match="FailRequested"):
        run_until(1 << 30, tmp_path / "store", job)

    assert again == first
    assert first is not None
    assert {name: number for name, number in _inodes(tmp_path / "out").items() if name in written} == written


def test_an_archive_that_changed_meanwhile_is_extracted_anew(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "out").mkdir()
    pack(folder, tmp_path / "a.tar")
    job = Extract(source=str(tmp_path / "a.tar"), target=str(tmp_path / "out/a"))
    while checkpoint(tmp_path / "store") is None:
        assert run_until(4000, tmp_path / "store", job) is None
    (folder / "0/0").rename(folder / "0/renamed")
    pack(folder, tmp_path / "a.tar", overwrite=True)

    said = run_until(1 << 30, tmp_path / "store", job)

    assert said is not None
    assert listing(tmp_path / "out/a/in") == listing(folder)


def _inodes(out: Path) -> dict[str, int]:
    """Of all files in the one output, whatever its name is now."""
    return {
        "/".join(path.relative_to(out).parts[1:]): path.lstat().st_ino
        for path in out.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _safe(out: Path, keeping: Path) -> dict[str, int]:
    """The files in `0/` that the newest checkpoint covers: the first ones of the archive."""
    kept = checkpoint(keeping)
    members = Kept.model_validate_json(kept).members if kept else 0
    first = ["in/0/" + name for name in sorted(str(number) for number in range(0, 40, 4))]
    return {name: number for name, number in _inodes(out).items() if name in first[: max(members - 2, 0)]}
