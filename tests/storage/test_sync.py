from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs import Progress, Sync, Verify
from heavyjobs.jobs.sync import Synced
from heavyjobs.jobs.sync_plan import plan, wanted
from heavyjobs.jobs.trouble import Refused, SourceMissing, TargetUnusable, Trouble
from heavyjobs.locations import Locations
from heavyjobs.storage import Found, Notes
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.conftest import Bucket

LARGE = os.urandom((9 << 20) + 7)
FILES = {"large": LARGE, "empty": b"", "sub/a": b"a", "sub/b.tmp": b"b"}
FOUND = st.builds(
    Found,
    key=st.just("k"),
    bytes=st.integers(0, 2),
    version=st.just("v"),
    notes=st.builds(Notes, mtime=st.integers(0, 2).map(float)),
)
LISTINGS = st.dictionaries(st.sampled_from(["a", "b", "c/d", "c.d", "c/e"]), FOUND)


@pytest.fixture
def here(tmp_path: Path, fleet: Locations) -> Path:
    for name, data in FILES.items():
        (tmp_path / "here/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here/tree" / name).write_bytes(data)
    return tmp_path / "here"


def sync(fleet: Locations, source: str = "here:tree", target: str = "s3:t", **how: Any) -> Inline[Synced, Progress, Trouble]:
    return run_inline(Sync.model_validate({"source": source, "target": target, **how}), locations=fleet)


def counts(done: Inline[Synced, Progress, Trouble]) -> tuple[int, int, int]:
    assert done.error is None, done.error
    return done.result.copied, done.result.deleted, done.result.kept


@given(LISTINGS, LISTINGS, st.sampled_from(["time", "size", "content"]), st.booleans())
def test_a_plan_names_each_thing_once_and_deletes_only_what_the_source_lacks(
    source: dict[str, Found], target: dict[str, Found], compare: Any, delete: bool
) -> None:
    made = plan(source, target, compare=compare, delete=delete)

    assert sorted([*made.copy, *made.keep, *made.doubtful]) == sorted(source)
    assert set(made.delete) == (target.keys() - source.keys() if delete else set())
    assert target.keys() >= {*made.keep, *made.doubtful}


def test_filters_are_of_names_and_of_their_parts() -> None:
    assert wanted("a/b.tmp", include=(), exclude=())
    assert not wanted("a/b.tmp", include=(), exclude=("*.tmp",))
    assert not wanted("a/.git/config", include=(), exclude=(".git",))
    assert wanted("a/b.mkv", include=("*.mkv",), exclude=())
    assert not wanted("a/b.txt", include=("*.mkv",), exclude=())


@pytest.mark.parametrize("target", ["s3:t", "here:copy"])
def test_only_what_changed_is_copied_and_only_what_is_gone_is_deleted(
    here: Path, fleet: Locations, bucket: Bucket, target: str
) -> None:
    first, second = counts(sync(fleet, target=target)), counts(sync(fleet, target=target))
    (here / "tree/sub/a").write_bytes(b"A")
    os.utime(here / "tree/sub/a", (0, 4_000_000_000))
    (here / "tree/empty").unlink()
    third = counts(sync(fleet, target=target))
    fourth = counts(sync(fleet, target=target, delete=True, compare="content"))

    assert (first, second, third, fourth) == ((4, 0, 0), (0, 0, 4), (1, 0, 2), (0, 1, 3))
    assert run_inline(Verify(source="here:tree", target=target), locations=fleet).result.files == 3


def test_bytes_that_differ_behind_the_same_size_and_time_are_found_by_content(here: Path, fleet: Locations) -> None:
    sync(fleet, target="here:copy")
    (here / "copy/sub/a").write_bytes(b"x")
    os.utime(here / "copy/sub/a", (0, 4_000_000_000))

    assert counts(sync(fleet, target="here:copy")) == (0, 0, 4)
    assert counts(sync(fleet, target="here:copy", compare="content")) == (1, 0, 3)
    assert (here / "copy/sub/a").read_bytes() == b"a"


def test_a_dry_run_says_what_it_would_do_and_does_nothing(here: Path, fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/t/extra", b"x")

    done = sync(fleet, delete=True, dry_run=True)

    assert counts(done) == (4, 1, 0)
    assert "would copy sub/a" in done.log
    assert "would delete extra" in done.log
    assert bucket.keys() == ["pre/fix/t/extra"]


def test_what_filters_leave_out_is_neither_copied_nor_deleted(here: Path, fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/t/old.tmp", b"x")
    bucket.put("pre/fix/t/old", b"x")

    done = sync(fleet, delete=True, exclude=["*.tmp"])

    assert counts(done) == (3, 1, 0)
    assert sorted(bucket.keys()) == [f"pre/fix/t/{name}" for name in ("empty", "large", "old.tmp", "sub/a")]


def test_what_would_be_a_catastrophe_is_refused(here: Path, fleet: Locations, bucket: Bucket) -> None:
    (here / "nothing").mkdir()
    bucket.put("pre/fix/t/precious", b"x")

    assert isinstance(sync(fleet, source="here:nothing", delete=True).error, Refused)
    assert isinstance(sync(fleet, source="here:no", delete=True).error, SourceMissing)
    assert isinstance(sync(fleet, source="here:tree/large").error, SourceMissing)
    assert isinstance(sync(fleet, target="here:tree/sub").error, Refused)
    assert isinstance(sync(fleet, source="s3:t", target="s3:t/deeper").error, Refused)
    assert bucket.keys() == ["pre/fix/t/precious"]


def test_nothing_is_written_or_deleted_through_a_symlink_that_leads_out(here: Path, fleet: Locations, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b.tmp").write_bytes(b"precious")
    (here / "copy").mkdir()
    (here / "copy/sub").symlink_to(tmp_path / "outside")

    done = sync(fleet, target="here:copy", delete=True)

    assert isinstance(done.error, TargetUnusable), done.error
    assert listing(tmp_path / "outside").keys() == {"b.tmp"}
    assert (tmp_path / "outside/b.tmp").read_bytes() == b"precious"
