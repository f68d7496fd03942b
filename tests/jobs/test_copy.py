from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heavyjobs.jobs import Copy, Progress
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_here import Verify
from heavyjobs.jobs.policies import Overwrite
from heavyjobs.jobs.trouble import OutputWrong, Refused, SourceMissing, TargetTaken, TargetUnusable, Trouble
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing

Done = Inline[Copied, Progress, Trouble]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "large").write_bytes(os.urandom(3 << 20))
    (folder / "sub/ünïcode\nline").write_text("unicode")
    (folder / "empty file").touch()
    (folder / "link").symlink_to("../outside")
    (folder / "sub/read only").mkdir()
    (folder / "sub/read only/script").write_text("x")
    (folder / "sub/read only/script").chmod(0o751)
    os.utime(folder / "sub/read only/script", ns=(0, 1_500_000_000_123_456_789))
    (folder / "sub/read only").chmod(0o555)
    os.utime(folder / "sub", ns=(0, 1_400_000_000_987_654_321))
    return folder


def copy(source: Path, target: Path, *, overwrite: Overwrite = "error", verify: Verify = "readback") -> Done:
    return run_inline(Copy(source=str(source), target=str(target), overwrite=overwrite, verify=verify))


def failed_without_trace(folder: Path, run: Callable[[], Done]) -> tuple[Trouble | None, bool]:
    before = listing(folder)
    done = run()
    assert listing(folder) == before
    assert done.error is not None
    return done.error, done.retry


@pytest.mark.parametrize("verify", ["none", "stream", "readback"])
def test_a_file_is_copied_with_its_digest(tmp_path: Path, films: Path, verify: Verify) -> None:
    result = copy(films / "large", tmp_path / "copy", verify=verify).result

    assert (tmp_path / "copy").read_bytes() == (films / "large").read_bytes()
    assert result.sha256 == hashlib.sha256((films / "large").read_bytes()).hexdigest()
    assert (result.files, result.bytes, result.verified) == (1, 3 << 20, verify)


@pytest.mark.parametrize("verify", ["none", "stream", "readback"])
def test_a_tree_is_copied_with_modes_times_and_links(tmp_path: Path, films: Path, verify: Verify) -> None:
    result = copy(films, tmp_path / "copy", verify=verify).result

    target = tmp_path / "copy"
    assert listing(target) == listing(films)
    for name in ("sub", "sub/read only", "sub/read only/script"):
        copied, original = (target / name).stat(), (films / name).stat()
        assert stat.S_IMODE(copied.st_mode) == stat.S_IMODE(original.st_mode)
        assert copied.st_mtime_ns == original.st_mtime_ns
    assert (result.files, result.bytes, result.skipped) == (4, (3 << 20) + 8, 0)


def test_the_digest_of_a_tree_is_that_of_its_list_of_digests(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    for name in ("a", "b/c", "d"):
        (folder / name).write_text(name)
    listed = subprocess.run(["sha256sum", "a", "b/c", "d"], cwd=folder, capture_output=True, check=True).stdout

    assert copy(folder, tmp_path / "copy").result.sha256 == hashlib.sha256(listed).hexdigest()


def test_an_empty_folder_and_an_empty_file_are_fine(tmp_path: Path, films: Path) -> None:
    assert copy(films / "sub/empty", tmp_path / "a").result.files == 0
    assert copy(films / "empty file", tmp_path / "b").result.bytes == 0
    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").read_bytes() == b""


def test_thousands_of_small_files(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number}").write_bytes(b"%d" % number)

    assert copy(folder, tmp_path / "copy").result.files == 5000
    assert listing(tmp_path / "copy") == listing(folder)


def test_overwrite_replaces_a_file_by_a_file_and_a_folder_by_a_folder(tmp_path: Path, films: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").write_text("old")

    copy(films / "large", tmp_path / "file", overwrite="overwrite")
    copy(films, tmp_path / "folder", overwrite="overwrite")

    assert (tmp_path / "file").stat().st_size == 3 << 20
    assert listing(tmp_path / "folder") == listing(films)


def test_between_locations(tmp_path: Path, films: Path) -> None:
    (tmp_path / "backup").mkdir()
    fleet = Locations({"films": str(films), "backup": f"file://{tmp_path}/backup"}, plain=False)

    result = run_inline(Copy(source="films:large", target="backup:l"), locations=fleet).result
    whole = run_inline(Copy(source="films:", target="backup:all"), locations=fleet)

    assert (result.target, result.path) == ("backup:l", str(tmp_path / "backup/l"))
    assert whole.error is None
    error = run_inline(Copy(source="films:link", target="backup:x"), locations=fleet).error
    assert isinstance(error, Refused)  # the link leads out of its location
    assert "leads out" in error.what


def test_the_phases_are_copying_and_verifying(tmp_path: Path, films: Path) -> None:
    done = copy(films, tmp_path / "copy")

    assert list(dict.fromkeys(status.phase for status in done.statuses)) == ["copying", "verifying"]
    assert any("copied" in line for line in done.log)


def test_sockets_and_fifos_are_left_out_with_a_warning(tmp_path: Path, films: Path) -> None:
    os.mkfifo(films / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(films / "socket"))
        done = copy(films, tmp_path / "copy")

    assert done.result.skipped == 2
    assert sum("left out" in line for line in done.log) == 2


def test_what_was_written_wrong_is_found_by_reading_back_and_does_not_appear(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(path: Path) -> None:
        """A disk that lost a bit: happens between writing and reading back."""
        with path.open("r+b") as file:
            file.write(b"x")

    monkeypatch.setattr("heavyjobs.jobs.copy_here._drop_cache", spoil)

    error, retry = failed_without_trace(tmp_path, lambda: copy(films / "large", tmp_path / "copy"))

    assert isinstance(error, OutputWrong)
    assert retry


def test_bad_places_are_typed_errors_that_are_not_retried(tmp_path: Path, films: Path) -> None:
    (tmp_path / "taken").write_text("old")
    (films / "taken").mkdir()
    cases: list[tuple[Path, Path, type]] = [
        (tmp_path / "no", tmp_path / "copy", SourceMissing),
        (tmp_path / "no" / "deeper", tmp_path / "copy", SourceMissing),
        (tmp_path / ("n" * 300), tmp_path / "copy", SourceMissing),
        (films, tmp_path / "taken", TargetTaken),
        (films, films, TargetTaken),
        (films / "large", tmp_path / "no" / "copy", TargetUnusable),
        (films / "large", tmp_path / ("n" * 256), TargetUnusable),
        (films, films / "copy", Refused),
    ]

    for source, target, expected in cases:
        error, retry = failed_without_trace(tmp_path, lambda: copy(source, target))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target)
        assert not retry


def test_overwriting_never_destroys_the_source(tmp_path: Path, films: Path) -> None:
    (tmp_path / "alias").symlink_to("films")

    for source, target in (
        (films / "sub", films),
        (films, films),
        (films / "large", films / "large"),
        (films, tmp_path / "alias"),
    ):
        error, _ = failed_without_trace(tmp_path, lambda: copy(source, target, overwrite="overwrite"))  # noqa: B023 - called at once
        assert isinstance(error, Refused)
    error, _ = failed_without_trace(tmp_path, lambda: copy(films / "large", films / "sub", overwrite="overwrite"))
    assert isinstance(error, TargetTaken)  # a file does not replace a folder
