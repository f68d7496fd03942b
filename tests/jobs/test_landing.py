"""What landed on this host is gone on with only where the checkpoint is of the very same folder."""

from __future__ import annotations

from pathlib import Path

from heavyjobs.jobs.landing import DATA, Landing
from heavyjobs.model import ClaimKey, new_id
from tests.jobs.folders import listing

JOB = new_id()


def landing(target: Path, number: int, *, expected: int) -> Landing:
    return Landing(target, claim=ClaimKey(JOB, number), expected=expected)


def test_the_next_attempt_takes_over_what_landed_however_often(tmp_path: Path) -> None:
    first = landing(tmp_path / "a", 1, expected=0)
    (first.folder / DATA).write_text("half")

    second = landing(tmp_path / "a", 2, expected=first.begun_by)
    third = landing(tmp_path / "a", 10, expected=second.begun_by)

    assert (first.fresh, second.fresh, third.fresh) == (True, False, False)
    assert third.begun_by == 1
    assert (third.folder / DATA).read_text() == "half"
    assert list(listing(tmp_path)) == [third.folder.name, f"{third.folder.name}/{DATA}"]


def test_what_an_attempt_left_here_before_another_host_had_its_turn_is_not_gone_on_with(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for host in (here, there):
        host.mkdir()
    old = landing(here / "a", 1, expected=0)
    (old.folder / DATA).write_text("an early half")
    elsewhere = landing(there / "a", 2, expected=old.begun_by)

    back = landing(here / "a", 3, expected=elsewhere.begun_by)

    assert back.fresh, "the checkpoint tells of what landed there"
    assert list(listing(here)) == [back.folder.name]
