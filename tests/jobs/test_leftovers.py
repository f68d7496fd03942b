"""What ended jobs have left is removed; what anybody can still use is not."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from heavyjobs.events import JobOver
from heavyjobs.leftovers import Looks, left_below, left_in, sweep
from heavyjobs.model import ClaimKey, new_id
from heavyjobs.parts import Owner, Sort, earlier, owner_of, part_name, take_over, upload_name, workshop_prefix
from tests.jobs.folders import listing

JOB = UUID("01940000-0000-7000-8000-000000000001")
SORTS: tuple[Sort, ...] = ("part", "kept", "land", "split")


def over(*, claim: int, epoch: int = 1) -> dict[UUID, JobOver]:
    return {JOB: JobOver(JOB, claim, epoch)}


@pytest.mark.parametrize("name", ["a.mp4", "n" * 255, "é" * 127, "a\nb", ".part.", ""])
@pytest.mark.parametrize("sort", SORTS)
def test_a_name_says_whose_it_is_however_odd_the_target_and_fits_a_file_system(name: str, sort: Sort, tmp_path: Path) -> None:
    part = part_name(name, ClaimKey(JOB, 10**12), begun_by=10**11, sort=sort)

    assert owner_of(part) == owner_of(f"{part}.gone") == Owner(JOB, claim=10**12)
    (tmp_path / f"{part}.gone").touch()


def test_workshops_and_uploads_say_so_too() -> None:
    assert owner_of(f"{workshop_prefix(JOB)}3-{'0' * 8}") == Owner(JOB, epoch=3)
    for maker in (JOB.hex, f"{JOB.hex}-7", f"{JOB.hex}:12-34"):
        assert owner_of(f".upload-{upload_name(maker, 'ab12')}") == Owner(JOB)
        assert owner_of(f".upload-{upload_name(maker, 'ab12')}.parts") == Owner(JOB)


@pytest.mark.parametrize(
    "name",
    ["a.mp4", ".part", ".a.part.77-1", f".a.part.{JOB.hex}", f"a.part.{JOB.hex}-1", f".upload-{JOB.hex}", f".{JOB.hex}-1"],
)
def test_nothing_else_is_anybodys(name: str) -> None:
    assert owner_of(name) is None


def test_only_claims_that_a_job_had_when_it_ended_are_over(tmp_path: Path) -> None:
    names = [part_name("a", ClaimKey(JOB, number)) for number in (1, 2, 3)]
    for name in names:
        (tmp_path / name).touch()

    swept = sweep(left_in(tmp_path), over(claim=2))

    assert [left.path.name for left in swept] == names[:2]
    assert list(listing(tmp_path)) == names[2:], "it was sent again meanwhile"


def test_what_its_job_has_taken_over_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / part_name("a", ClaimKey(JOB, 1))).mkdir()
    found = left_in(tmp_path)

    taken = take_over(tmp_path / "a", ClaimKey(JOB, 2))
    swept = sweep(found, over(claim=1))

    assert swept == []
    assert taken is not None
    assert taken.path.is_dir()


def test_what_was_swept_is_taken_over_by_nobody(tmp_path: Path) -> None:
    (tmp_path / part_name("a", ClaimKey(JOB, 1))).mkdir()
    left = earlier(tmp_path / "a", ClaimKey(JOB, 2))

    sweep(left_in(tmp_path), over(claim=1))

    assert len(left) == 1
    assert take_over(tmp_path / "a", ClaimKey(JOB, 2)) is None


def test_a_sweep_that_was_killed_half_way_is_done_by_the_next(tmp_path: Path) -> None:
    part = tmp_path / part_name("a", ClaimKey(JOB, 1))
    for path in (part, part.with_name(f"{part.name}.gone")):
        path.mkdir()
        (path / "half").touch()

    sweep(left_in(tmp_path), over(claim=1))

    assert listing(tmp_path) == {}


def test_no_symlink_is_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/film").touch()
    (tmp_path / "precious").chmod(0o500)
    here = tmp_path / "here"
    here.mkdir()
    (here / part_name("a", ClaimKey(JOB, 1))).symlink_to(tmp_path / "precious")
    (here / "elsewhere").symlink_to(tmp_path)
    part = here / part_name("b", ClaimKey(JOB, 1))
    (part / "closed").mkdir(parents=True)
    (part / "closed/link").symlink_to(tmp_path / "precious")
    (part / "closed").chmod(0o500)

    swept = sweep(left_below(here), over(claim=1))

    assert len(swept) == 2
    assert list(listing(here)) == ["elsewhere"]
    assert (tmp_path / "precious/film").exists()
    assert (tmp_path / "precious").stat().st_mode & 0o777 == 0o500


def test_what_lies_in_a_thing_that_was_left_is_part_of_it(tmp_path: Path) -> None:
    outer = tmp_path / "sub" / part_name("a", ClaimKey(JOB, 1))
    (outer / part_name("b", ClaimKey(new_id(), 1))).mkdir(parents=True)

    assert [left.path for left in left_below(tmp_path)] == [outer]


def test_a_folder_that_takes_long_to_read_is_not_looked_into_again_and_again(tmp_path: Path) -> None:
    ticks = iter([0.0, 0.5, 50.0, 50.6, 51.0])
    looks = Looks(lambda: next(ticks))
    (tmp_path / part_name("a", ClaimKey(JOB, 1))).touch()

    counts = [len(looks.found(tmp_path, but=new_id())) for _ in range(3)]

    assert counts == [1, 0, 1]


def test_a_folder_that_is_gone_or_closed_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)

    assert left_in(tmp_path / "no") == []
    assert left_in(tmp_path / "closed") == []
