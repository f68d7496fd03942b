"""What keeps an archive from being made is a typed error, and leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Convert, Pack, Progress, VerifyArchive
from heavyjobs.jobs.trouble import (
    NotInstalled,
    Refused,
    SourceChanged,
    SourceMissing,
    TargetTaken,
    TargetUnusable,
    Trouble,
)
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.archives import Done, convert, pack, photos, refused_without_trace

__all__ = ["photos"]


@pytest.mark.parametrize("job", [pack, convert])
def test_a_missing_source_is_a_typed_error_that_is_not_retried(tmp_path: Path, job: Callable[[Path, Path], Done]) -> None:
    error, retry = refused_without_trace(tmp_path, lambda: job(tmp_path / "no", tmp_path / "a.zip"))

    assert isinstance(error, SourceMissing)
    assert not retry
    assert error.where == str(tmp_path / "no")


@pytest.mark.parametrize("name", ["a.rar", "a", "zip", "a.tar.zs", "a.tar.gz.txt"])
def test_a_target_of_no_known_format_says_which_there_are(tmp_path: Path, photos: Path, name: str) -> None:
    error, retry = refused_without_trace(tmp_path, lambda: pack(photos, tmp_path / name))

    assert isinstance(error, TargetUnusable)
    assert not retry
    assert ".tar.zst" in error.would_do


def test_targets_that_cannot_be_written_are_typed_errors(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "a.zip").write_text("old")
    (tmp_path / "folder.zip").mkdir()
    pack(photos, tmp_path / "source.tar")
    cases: dict[str, type] = {
        "a.zip": TargetTaken,
        "folder.zip": TargetTaken,
        "no such folder/a.zip": TargetUnusable,
        "n" * 300 + ".zip": TargetUnusable,
        "n" * 5000 + "/a.zip": TargetUnusable,
    }

    for name, expected in cases.items():
        for job, source in ((pack, photos), (convert, tmp_path / "source.tar")):
            error, retry = refused_without_trace(tmp_path, lambda: job(source, tmp_path / name))  # noqa: B023 - called at once
            assert isinstance(error, expected)
            assert not retry
    assert isinstance(pack(photos, tmp_path / "folder.zip", overwrite=True).error, TargetTaken)


def test_places_outside_of_the_locations_are_refused(tmp_path: Path, photos: Path) -> None:
    fleet = Locations({"media": str(photos)}, plain=False)

    for source, target in ((str(photos), "media:a.zip"), ("media:sub", str(tmp_path / "a.zip"))):
        error, retry = refused_without_trace(
            tmp_path,
            lambda: run_inline(Pack(source=source, target=target), locations=fleet),  # noqa: B023 - called at once
        )
        assert isinstance(error, Refused)
        assert not retry
        assert "plain paths are not allowed here" in error.what
    assert run_inline(Pack(source="media:sub", target="media:a.zip"), locations=fleet).result.path == str(photos / "a.zip")


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_packed_is_retried(
    tmp_path: Path, photos: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(_: object, status: Progress) -> None:
        if status.item.endswith("/text"):
            with (photos / "text").open("r+b") as file:
                match change:
                    case "grow":
                        file.seek(0, os.SEEK_END)
                        file.write(b"more")
                    case "shrink":
                        file.truncate(10)
                    case _:
                        file.write(b"C")

    monkeypatch.setattr("heavyjobs.jobs.progress.REPORT_SECONDS", 0.0)
    monkeypatch.setattr("heavyjobs.context.Context.report", report)
    os.utime(photos / "text", (time.time() - 9, time.time() - 9))

    done = pack(photos, tmp_path / "a.tar")

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert not (tmp_path / "a.tar").exists()


def test_without_the_package_for_zstd_the_error_names_it(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("heavyjobs.jobs.streams.importlib.import_module", missing)

    error, retry = refused_without_trace(tmp_path, lambda: pack(photos, tmp_path / "a.tar.zst"))

    assert isinstance(error, NotInstalled)
    assert retry
    assert error.would_do == "pip install heavyjobs[archives]"


def test_what_may_not_be_read_is_named(no_root: Path) -> None:
    (no_root / "folder/closed").mkdir(parents=True)
    (no_root / "folder/secret").touch(0)
    (no_root / "folder/open").write_text("x")
    (no_root / "folder/closed").chmod(0)

    closed = pack(no_root / "folder", no_root / "a.tar")
    inside = pack(no_root / "folder/closed/x", no_root / "a.tar")
    (no_root / "folder/closed").chmod(0o700)
    secret = pack(no_root / "folder", no_root / "a.tar")

    for done, name in ((closed, "folder/closed"), (inside, "folder/closed/x"), (secret, "folder/secret")):
        assert isinstance(done.error, SourceMissing)
        assert done.error.where.endswith(name)
        assert not done.retry
    assert [path.name for path in no_root.iterdir()] == ["folder"]


@pytest.mark.fault("security: an archive that would fill the disk as another, or keep who verifies it busy for days")
@pytest.mark.parametrize("kind", ["archive.convert", "archive.verify"])
def test_what_an_archive_unpacks_to_is_bounded_also_where_it_is_not_unpacked(tmp_path: Path, kind: str) -> None:
    (tmp_path / "zeros").write_bytes(bytes(3 << 20))
    (tmp_path / "again").hardlink_to(tmp_path / "zeros")
    pack(tmp_path, tmp_path / "bomb.tar.gz")

    def run(**bounds: Any) -> Inline[Any, Progress, Trouble]:
        places = {"source": str(tmp_path / "bomb.tar.gz"), "target": str(tmp_path / "a.zip")}
        if kind == "archive.convert":
            return run_inline(Convert(**places, **bounds))
        return run_inline(VerifyArchive(source=places["source"], **bounds))

    for bounds in ({"max_bytes": "2MiB"}, {"max_members": 2}):
        error, retry = refused_without_trace(tmp_path, lambda: run(**bounds))  # noqa: B023 - called at once
        assert isinstance(error, Refused)
        assert not retry
    assert run(max_bytes="6MiB", max_members=3).error is None


def test_hard_links_that_become_files_count_as_such(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/zeros").write_bytes(bytes(3 << 20))
    (tmp_path / "in/again").hardlink_to(tmp_path / "in/zeros")
    pack(tmp_path / "in", tmp_path / "a.tar")
    places = {"source": str(tmp_path / "a.tar"), "max_bytes": "4MiB"}

    into_tar = run_inline(Convert(**places, target=str(tmp_path / "a.tar.gz")))
    into_zip = run_inline(Convert(**places, target=str(tmp_path / "a.zip")))

    assert into_tar.error is None
    assert isinstance(into_zip.error, Refused)
