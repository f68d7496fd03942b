"""Folders that archives become, compared with what tar and unzip of the system make of them."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from heavyjobs.jobs import Extract
from heavyjobs.jobs.trouble import Refused, SourceChanged, SourceMissing, TargetTaken, TargetUnusable
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import run_inline
from tests.jobs.archives import FORMATS, extract, info, pack, photos, tar_with, unpacked
from tests.jobs.folders import listing

__all__ = ["photos"]


def metadata(folder: Path) -> dict[str, tuple[int, int]]:
    """Permissions and whole seconds of every path, links themselves."""
    found = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: (stat.S_IMODE(status.st_mode), int(status.st_mtime)) for name, status in found.items()}


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_is_extracted_as_the_system_does_it(tmp_path: Path, photos: Path, form: str) -> None:
    archive = tmp_path / f"photos.{form}"
    pack(photos, archive)

    result = extract(archive, tmp_path / "out").result

    system = unpacked(archive, tmp_path / "system")
    assert listing(tmp_path / "out") == listing(system)
    expected = metadata(system)
    if form == "zip":  # unzip gives symlinks the time at which it makes them
        expected["photos/link"] = metadata(photos)["link"]
    assert metadata(tmp_path / "out") == expected
    assert (result.members, result.files, result.symlinks, result.left_out) == (11, 6, 1, 0)
    assert (result.format, result.path) == (form, str(tmp_path / "out"))
    assert result.bytes == (3 << 20) + 1_600_000 + len("unicode") + len("long name") + len("#!/bin/sh\n")


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("style", ["gnu", "pax", "oldgnu"])
def test_archives_of_the_systems_tar_are_extracted(tmp_path: Path, photos: Path, form: str, style: str) -> None:
    archive = tmp_path / f"a.{form}"
    subprocess.run(["tar", f"--format={style}", "-caf", archive, "-C", photos, "."], check=True)

    assert extract(archive, tmp_path / "out").error is None

    assert listing(tmp_path / "out") == listing(photos)


def test_archives_of_the_systems_zip_are_extracted(tmp_path: Path, photos: Path) -> None:
    subprocess.run(["zip", "-qry", tmp_path / "a.zip", "."], cwd=photos, check=True)

    assert extract(tmp_path / "a.zip", tmp_path / "out").error is None

    assert listing(tmp_path / "out") == listing(photos)
    assert (tmp_path / "out/script").stat().st_mtime == 1_500_000_000


def test_the_digest_is_that_of_what_sha256sum_prints(tmp_path: Path, photos: Path) -> None:
    os.link(photos / "text", photos / "sub/text again")
    pack(photos, tmp_path / "a.tar.gz")

    out = tmp_path / "out"

    result = extract(tmp_path / "a.tar.gz", out).result

    paths = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    names = ["/".join(parts) for parts in sorted(path.relative_to(out).parts for path in paths)]
    said = subprocess.run(["sha256sum", *names], cwd=out, capture_output=True, check=True).stdout
    assert result.sha256 == hashlib.sha256(said).hexdigest()
    assert result.files == len(names) == 7


def test_times_keep_their_nanoseconds(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.tar.gz")

    extract(tmp_path / "a.tar.gz", tmp_path / "out")

    assert (tmp_path / "out/photos/script").stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_hard_links_are_links_again(tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("shared")
    os.link(folder / "a", folder / "sub/b")
    os.link(folder / "a", folder / "z")
    pack(folder, tmp_path / "a.tar")

    result = extract(tmp_path / "a.tar", tmp_path / "out").result

    inodes = {(tmp_path / "out/linked" / name).stat().st_ino for name in ("a", "sub/b", "z")}
    assert len(inodes) == 1
    assert (result.files, result.bytes) == (3, 6)


def test_a_sparse_file_has_all_its_bytes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    subprocess.run(["tar", "--sparse", "-cf", tmp_path / "a.tar", "-C", tmp_path, "sparse"], check=True)

    result = extract(tmp_path / "a.tar", tmp_path / "out").result

    assert (tmp_path / "out/sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert result.bytes == (3 << 20) + 3


def test_an_empty_archive_becomes_an_empty_folder(tmp_path: Path) -> None:
    tar_with(tmp_path / "a.tar")

    result = extract(tmp_path / "a.tar", tmp_path / "out").result

    assert (result.members, result.bytes) == (0, 0)
    assert list((tmp_path / "out").iterdir()) == []


def test_folders_that_may_not_be_written_are_filled_first(no_root: Path) -> None:
    closed = info("closed", tarfile.DIRTYPE)
    closed.mode = 0o555
    tar_with(no_root / "a.tar", closed, info("closed/in it", size=3))

    assert extract(no_root / "a.tar", no_root / "out").error is None

    assert (no_root / "out/closed/in it").read_bytes() == bytes(3)
    assert stat.S_IMODE((no_root / "out/closed").stat().st_mode) == 0o755


def test_names_that_are_not_unicode_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_text("x")
    (folder / "new\nline \x1b[31mred").write_text("y")
    pack(folder, tmp_path / "a.tar.gz")

    done = extract(tmp_path / "a.tar.gz", tmp_path / "out")

    assert listing(tmp_path / "out/odd") == listing(folder)
    assert all(status.item.isprintable() for status in done.statuses)


def test_an_existing_target_is_kept_unless_it_may_be_replaced(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.tar")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()

    error = extract(tmp_path / "a.tar", tmp_path / "out").error
    assert isinstance(error, TargetTaken)
    assert list(listing(tmp_path / "out")) == ["old"]

    assert extract(tmp_path / "a.tar", tmp_path / "out", overwrite=True).error is None
    assert listing(tmp_path / "out/photos") == listing(photos)
    assert not (tmp_path / "out/old").exists()


def test_a_target_that_is_or_holds_the_source_is_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "in").mkdir()
    pack(photos, tmp_path / "in/a.tar")
    before = listing(tmp_path)

    for target in ("in/a.tar", "in"):
        done = extract(tmp_path / "in/a.tar", tmp_path / target, overwrite=True)
        assert isinstance(done.error, Refused)
        assert not done.retry
    assert listing(tmp_path) == before


def test_sources_and_targets_that_cannot_be_are_typed_errors(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.tar")

    assert isinstance(extract(tmp_path / "no", tmp_path / "out").error, SourceMissing)
    assert isinstance(extract(photos, tmp_path / "out").error, SourceMissing)
    assert isinstance(extract(tmp_path / "a.tar", tmp_path / "no/out").error, TargetUnusable)
    assert isinstance(extract(tmp_path / "a.tar", tmp_path / ("n" * 300)).error, TargetUnusable)


def test_locations_are_kept_to(tmp_path: Path, photos: Path) -> None:
    fleet = Locations({"media": str(tmp_path)}, plain=False)
    pack(photos, tmp_path / "a.tar")

    refused = run_inline(Extract(source="media:a.tar", target=str(tmp_path / "out")), locations=fleet)
    done = run_inline(Extract(source="media:a.tar", target="media:out"), locations=fleet)

    assert isinstance(refused.error, Refused)
    assert done.result.path == str(tmp_path / "out")


def test_an_archive_that_is_replaced_while_it_is_read_is_tried_again(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(photos, tmp_path / "a.tar")
    pack(photos, tmp_path / "b.tar")

    def report(*_: object) -> None:
        if (tmp_path / "b.tar").exists():
            (tmp_path / "b.tar").rename(tmp_path / "a.tar")

    monkeypatch.setattr("heavyjobs.context.Context.report", report)

    done = extract(tmp_path / "a.tar", tmp_path / "out")

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    # What is beside them is the next attempt's, to begin anew from.
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".out.part.")} == {"photos", "a.tar"}


def test_real_packages_become_what_the_system_makes_of_them(tmp_path: Path) -> None:
    """The standard library of this Python, as a wheel would carry it."""
    source = Path(os.__file__).parent / "json"
    with zipfile.ZipFile(tmp_path / "json.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(source.rglob("*")):
            opened.write(path, path.relative_to(source.parent))

    extract(tmp_path / "json.zip", tmp_path / "out")

    assert listing(tmp_path / "out") == listing(unpacked(tmp_path / "json.zip", tmp_path / "system"))
