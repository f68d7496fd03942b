"""`heavyjobs sweep`: what ended jobs have left is removed, in whole locations."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from heavyjobs.cli.exits import Exit
from heavyjobs.model import Cause, ClaimKey, Ending, new_id
from heavyjobs.parts import part_name, upload_name, workshop_prefix
from tests.cli.stage import Stage
from tests.jobs.folders import listing

CRASH = Cause(Ending.CRASHED, "killed by signal 9", signal=9)


@pytest.fixture
def films(stage: Stage) -> Path:
    """A location, with a folder in it."""
    with (stage.folder / "heavyjobs.toml").open("a") as file:
        file.write(f'[locations]\nfilms.url = "{stage.folder}/films"\ncloud.url = "s3://bucket/films"\n')
    (stage.folder / "films/sub").mkdir(parents=True)
    return stage.folder / "films"


def dead_job(stage: Stage) -> ClaimKey:
    stage.submit()
    claim = stage.claim()
    stage.die(claim, CRASH)
    return claim


def leave(folder: Path, claim: ClaimKey) -> Path:
    """Half an output of that claim."""
    part = folder / part_name("a.mkv", claim)
    part.mkdir()
    (part / "half").write_text("12345")
    return part


def test_what_dead_jobs_have_left_is_removed_wherever_it_lies_in_a_location(stage: Stage, films: Path) -> None:
    dead = dead_job(stage)
    leave(films, dead)
    leave(films / "sub", dead)
    (films / "sub" / f".upload-{upload_name(dead.job.hex, 'ab12')}").touch()
    (films / f"{workshop_prefix(dead.job)}1-0123abcd").mkdir()
    (films / "a.mkv").touch()

    result = stage.run("sweep")

    assert result.exit_code == Exit.OK
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == "removed 4, 10 B\n"
    assert list(listing(films)) == ["a.mkv", "sub"]


def test_a_dry_run_only_says_what_would_be_removed(stage: Stage, films: Path) -> None:
    part = leave(films, dead_job(stage))

    result = stage.run("sweep", "--dry-run")

    assert "would remove  5 B" in result.stdout
    assert part.name in result.stdout
    assert (part / "half").exists()


def test_what_belongs_to_a_job_that_has_not_ended_or_is_not_known_stays(stage: Stage, films: Path) -> None:
    stage.submit()
    kept = [leave(films, stage.claim()), leave(films, ClaimKey(new_id(), 1))]

    result = stage.run("sweep", str(films))

    assert result.stderr == "removed 0, 0 B\nleft 2 of jobs that have not ended, or that this database does not know\n"
    assert all(part.is_dir() for part in kept)


def test_what_a_job_has_that_was_sent_again_after_its_end_stays(stage: Stage, films: Path) -> None:
    dead = dead_job(stage)
    stage.answer("retry", str(dead.job))
    part = leave(films, stage.claim())

    stage.run("sweep")

    assert part.is_dir()


def test_programs_are_told_each_thing(stage: Stage, films: Path) -> None:
    dead = dead_job(stage)
    part = leave(films, dead)

    (document,) = stage.document("sweep", "films:")

    assert document == {"path": str(part), "job": str(UUID(dead.job.hex)), "bytes": 5, "removed": True}


@pytest.mark.parametrize(
    ("place", "says"), [("films:no", "there is no such folder"), ("cloud:", "only folders"), ("no:", "there is no location no")]
)
@pytest.mark.usefixtures("films")
def test_a_place_that_cannot_be_swept_is_refused(stage: Stage, place: str, says: str) -> None:
    stage.serve()

    result = stage.run("sweep", place)

    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
