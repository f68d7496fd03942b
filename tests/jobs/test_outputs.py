from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from heavyjobs import durable, outputs, parts
from heavyjobs.errors import CancelRequested, ClaimLost, TargetExists, WorkError
from heavyjobs.model import ClaimKey, new_id
from heavyjobs.outputs import Output
from heavyjobs.shielding import Shield
from heavyjobs.slots import wire
from tests.jobs.folders import listing
from tests.jobs.interrupting import interrupt

CLAIM = ClaimKey(new_id(), 3)


def output(
    target: Path, *, replace: bool = False, confirm: Callable[[], None] = lambda: None
) -> AbstractContextManager[Output]:
    return outputs.output(target, claim=CLAIM, replace=replace, confirm=confirm, shield=nullcontext)


def test_a_file_appears_only_when_the_block_is_left(tmp_path: Path) -> None:
    with output(tmp_path / "a.txt") as out:
        out.path.write_text("whole")
        assert not (tmp_path / "a.txt").exists()

    assert out.bytes == 5
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert list(listing(tmp_path)) == ["a.txt"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    with output(tmp_path / "films") as out:
        (out.path / "sub").mkdir(parents=True)
        (out.path / "sub/a").write_bytes(b"123")
        (out.path / "b").write_bytes(b"4567")
        (out.path / "link").symlink_to("b")

    assert out.bytes == 7
    assert list(listing(tmp_path)) == ["films", "films/b", "films/link", "films/sub", "films/sub/a"]


def test_the_part_is_hidden_beside_the_target_and_names_its_claim(tmp_path: Path) -> None:
    with output(tmp_path / "a.txt") as out:
        out.path.write_text("x")

        assert out.path.parent == tmp_path
        assert out.path.name == f".a.txt.part.{CLAIM.job.hex}-3"


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "a\nb", "-rf", "日本"])
def test_odd_and_long_names_are_published(tmp_path: Path, name: str) -> None:
    with output(tmp_path / name) as out:
        out.path.write_text("x")

    assert list(listing(tmp_path)) == [name]


def test_a_name_that_no_file_system_takes_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="longer than 255 bytes"), output(tmp_path / ("é" * 128)):
        pytest.fail("the work began")


@pytest.mark.parametrize("error", [ValueError, CancelRequested, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with output(tmp_path / "films") as out:
            (out.path / "read only").mkdir(parents=True)
            (out.path / "read only/a").write_text("half")
            (out.path / "read only").chmod(0o500)
            raise error

    with pytest.raises(error):
        work()

    assert listing(tmp_path) == {}


def test_a_target_that_is_there_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "dangling").symlink_to("nowhere")

    for name in ("a", "dangling"):
        with pytest.raises(TargetExists, match="not touched"), output(tmp_path / name):
            pytest.fail("the work began")


def test_a_target_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def lose_to(write: Callable[[Path], object], name: str) -> None:
        with output(tmp_path / name) as out:
            write(out.path)
            write(tmp_path / name)

    with pytest.raises(TargetExists):
        lose_to(lambda path: path.write_text(path.name), "a")
    with pytest.raises(TargetExists):
        lose_to(Path.mkdir, "folder")

    assert list(listing(tmp_path)) == ["a", "folder"]
    assert (tmp_path / "a").read_text() == "a"


def test_it_is_not_replaced_either_where_the_system_has_no_such_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_rename", lambda *_: False)

    test_a_target_that_came_meanwhile_is_not_replaced(tmp_path)
    with output(tmp_path / "b") as out:
        out.path.write_text("new")
    with output(tmp_path / "c") as out:
        out.path.mkdir()
    with output(tmp_path / "folder", replace=True) as out:
        out.path.mkdir()
        (out.path / "in it").touch()

    assert list(listing(tmp_path)) == ["a", "b", "c", "folder", "folder/in it"]


def test_replace_puts_the_new_in_the_place_of_whatever_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").write_text("old")

    with output(tmp_path / "file", replace=True) as out:
        out.path.write_text("new")
    with output(tmp_path / "folder", replace=True) as out:
        out.path.mkdir()
        (out.path / "new").write_text("new")
    with output(tmp_path / "fresh", replace=True) as out:
        out.path.write_text("new")

    assert list(listing(tmp_path)) == ["file", "folder", "folder/new", "fresh"]
    assert (tmp_path / "file").read_text() == "new"


def test_a_lost_claim_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def lost() -> None:
        raise ClaimLost("another has it")

    with pytest.raises(ClaimLost), output(tmp_path / "a", replace=True, confirm=lost) as out:
        out.path.write_text("new")

    assert list(listing(tmp_path)) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_the_claim_is_confirmed_when_all_is_on_disk_and_nothing_is_published(tmp_path: Path) -> None:
    seen: list[bool] = []

    with output(tmp_path / "a", confirm=lambda: seen.append((tmp_path / "a").exists())) as out:
        out.path.write_text("x")

    assert seen == [False]


def test_a_job_that_wrote_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="nothing was written"), output(tmp_path / "a"):
        pass
    with pytest.raises(WorkError, match="nothing was written"), output(tmp_path / "a") as out:
        out.path.symlink_to("/etc/passwd")

    assert listing(tmp_path) == {}


def test_a_missing_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(WorkError, match="does not exist; make it first"), output(tmp_path / "no/a"):
        pytest.fail("the work began")
    with pytest.raises(WorkError, match="is not a folder"), output(tmp_path / "file/a"):
        pytest.fail("the work began")


def test_a_request_to_stop_while_publishing_comes_after_it(tmp_path: Path) -> None:
    shield = wire.Shield()
    shield.arm()

    def write() -> None:
        with outputs.output(tmp_path / "a", claim=CLAIM, replace=False, confirm=shield.request, shield=lambda: shield) as out:
            out.path.write_text("x")

    with pytest.raises(CancelRequested):
        write()

    assert list(listing(tmp_path)) == ["a"]


@pytest.mark.parametrize("line", range(0, 260, 3))
def test_a_request_to_stop_on_any_line_leaves_nothing_half_written(tmp_path: Path, line: int) -> None:
    def work(shield: Shield) -> None:
        with outputs.output(tmp_path / "a", claim=CLAIM, replace=False, confirm=lambda: None, shield=shield) as out:
            out.path.mkdir()

    interrupt(work, at_line=line)

    assert set(listing(tmp_path)) <= {"a"}


async def test_the_asynchronous_twin_stages_the_same_way(tmp_path: Path) -> None:
    staged = outputs.Staged(tmp_path / "a", claim=CLAIM, replace=False)
    staged.output.path.write_text("whole")
    await outputs.in_thread(staged.sync)
    staged.publish()
    staged.discard()

    assert staged.output.bytes == 5
    assert list(listing(tmp_path)) == ["a"]


async def test_work_in_a_thread_leaves_the_loop_free() -> None:
    read, write = os.pipe()
    waiting = asyncio.create_task(outputs.in_thread(lambda: os.read(read, 1)))
    await asyncio.sleep(0)
    os.write(write, b"x")

    assert await waiting == b"x"
    os.close(read)
    os.close(write)


def test_the_next_invocation_removes_what_a_dead_one_left(tmp_path: Path) -> None:
    def part(job: ClaimKey, name: str = "a") -> Path:
        return tmp_path / parts.part_name(name, job)

    earlier, later, other = ClaimKey(CLAIM.job, 1), ClaimKey(CLAIM.job, 4), ClaimKey(new_id(), 1)
    part(earlier).mkdir()
    (part(earlier) / "half").touch()
    for claim in (ClaimKey(CLAIM.job, 2), later, other):
        part(claim).touch()
    part(earlier, "b").touch()

    with output(tmp_path / "a") as out:
        out.path.write_text("x")

    kept = sorted([part(later).name, part(other).name, part(earlier, "b").name, "a"])
    assert list(listing(tmp_path)) == kept


def test_an_output_is_taken_for_its_path(tmp_path: Path) -> None:
    with output(tmp_path / "a.txt") as out, open(out, "w") as file:  # noqa: PTH123 - that open takes it is the point
        file.write(f"{out}")

    assert (tmp_path / "a.txt").read_text() == os.fspath(out) == str(out) == str(Path(out))


def test_a_resumed_output_is_what_the_newest_dead_invocation_left(tmp_path: Path) -> None:
    for number in (1, 2):
        part = tmp_path / parts.part_name("a", ClaimKey(CLAIM.job, number))
        part.mkdir()
        (part / f"by {number}").touch()

    with outputs.output(
        tmp_path / "a", claim=CLAIM, replace=False, resume=True, confirm=lambda: None, shield=nullcontext
    ) as out:
        assert [path.name for path in out.path.iterdir()] == ["by 2"]
        assert out.begun_by == 2

    assert list(listing(tmp_path)) == ["a", "a/by 2"]


def test_who_began_an_output_is_known_however_often_it_is_resumed(tmp_path: Path) -> None:
    first = ClaimKey(CLAIM.job, 9)
    (tmp_path / parts.part_name("n" * 255, first)).mkdir()

    for number in (10, 1000):
        staged = outputs.Staged(tmp_path / ("n" * 255), claim=ClaimKey(CLAIM.job, number), replace=False)
        staged.begin(resume=True)

        assert staged.output.begun_by == 9
        assert list(listing(tmp_path)) == [staged.output.path.name]


def test_with_nothing_left_a_resumed_output_begins_anew(tmp_path: Path) -> None:
    (tmp_path / parts.part_name("a", ClaimKey(new_id(), 1))).mkdir()

    with outputs.output(
        tmp_path / "a", claim=CLAIM, replace=False, resume=True, confirm=lambda: None, shield=nullcontext
    ) as out:
        assert not out.path.exists()
        assert out.begun_by == CLAIM.number
        out.path.mkdir()


@pytest.mark.parametrize(("resume", "again", "stays"), [(True, True, True), (True, False, False), (False, True, False)])
def test_what_is_unfinished_stays_only_for_a_run_that_resumes_it(
    tmp_path: Path, *, resume: bool, again: bool, stays: bool
) -> None:
    def work() -> None:
        with outputs.output(
            tmp_path / "a",
            claim=CLAIM,
            replace=False,
            resume=resume,
            stays=lambda _: again,
            confirm=lambda: None,
            shield=nullcontext,
        ) as out:
            out.path.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        work()

    assert list(listing(tmp_path)) == ([parts.part_name("a", CLAIM)] if stays else [])
