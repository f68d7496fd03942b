"""The program against itself: a coordinator in one process, the commands in others, real jobs between them."""

from __future__ import annotations

import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heavyjobs.cli.exits import Exit
from tests.cli.stage import Stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def real(folder: Path) -> Iterator[Stage]:
    """A stage whose coordinator is not played."""
    stage = Stage(folder, modules=("film_jobs", "heavyjobs.jobs"))
    with stage.start("run") as process:
        yield stage
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        log = process.stderr.read()
        assert process.wait() == Exit.OK, log
        assert "Traceback" not in log


def waited(stage: Stage, *arguments: str) -> tuple[int, str]:
    """Exit code and answer of a submit that waits."""
    with stage.start("submit", *arguments, "--wait") as process:
        assert process.stdout
        assert process.stderr
        answer, remarks = process.stdout.read(), process.stderr.read()
        assert "Traceback" not in answer + remarks
        return process.wait(), answer


def test_a_job_runs_from_submit_to_its_result(real: Stage) -> None:
    with real.start("submit", "film.play", "--result", "7", "--follow") as process:
        assert process.stdout
        answer = process.stdout.read()
        assert process.wait() == Exit.OK

    lines = answer.splitlines()
    assert lines[0].split()[1:] == ["film.play", "ready", "queue", "default"]
    assert lines[1].startswith("attempt 1   ")
    assert any(line.endswith("    ␛[2Jrolling") for line in lines)
    assert "succeeded in " in lines[-2]
    assert lines[-1] == "  7.0"


def test_a_missing_source_is_told(real: Stage) -> None:
    code, answer = waited(real, "archive.pack", "--source", "nowhere", "--target", "out.zip")

    assert code == Exit.DEAD
    assert f"{real.folder}/nowhere" in answer
    assert "no such file" in answer
    assert not (real.folder / "out.zip").exists()


def test_an_existing_target_is_told_and_left_alone(real: Stage) -> None:
    (real.folder / "photos").mkdir()
    (real.folder / "there.zip").write_text("precious")

    code, answer = waited(real, "archive.pack", "--source", "photos", "--target", "there.zip")

    assert code == Exit.DEAD
    assert f"{real.folder}/there.zip" in answer
    assert "exists" in answer
    assert (real.folder / "there.zip").read_text() == "precious"


def test_a_truncated_archive_is_told_and_nothing_is_half_written(real: Stage) -> None:
    with tarfile.open(real.folder / "whole.tar.gz", "w:gz") as archive:
        archive.add(__file__)
    (real.folder / "cut.tar.gz").write_bytes((real.folder / "whole.tar.gz").read_bytes()[:200])

    code, answer = waited(real, "archive.convert", "--source", "cut.tar.gz", "--target", "cut.zip")

    assert code == Exit.DEAD
    assert f"{real.folder}/cut.tar.gz" in answer
    assert "too early" in answer
    assert not [path for path in real.folder.iterdir() if path.name.startswith(("cut.zip", ".cut.zip"))]


def test_a_video_that_is_none_is_told(real: Stage) -> None:
    (real.folder / "notes.mkv").write_text("these are notes")

    code, answer = waited(real, "media.transcode", "--source", "notes.mkv", "--target", "notes.mp4")

    assert code == Exit.DEAD
    assert f"{real.folder}/notes.mkv" in answer
    assert not (real.folder / "notes.mp4").exists()


def test_a_result_that_cannot_be_json_is_told(real: Stage) -> None:
    code, answer = waited(real, "film.play", "--result", "-1")

    assert code == Exit.DEAD
    assert "the result of film.play: nan is not a JSON number" in answer


def test_a_status_of_ten_megabytes_is_told(real: Stage) -> None:
    code, answer = waited(real, "film.play", "--status", "0123456789")

    assert code == Exit.DEAD
    assert "the status of film.play takes 9.5 MiB, more than 64.0 KiB; store it in a file" in answer
