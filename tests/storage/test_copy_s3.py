from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Copy, Progress
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_far import Done as Kept
from heavyjobs.jobs.copy_here import Verify
from heavyjobs.jobs.trouble import Refused, SourceMissing, TargetTaken, TargetUnusable, Trouble
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.conftest import Bucket

MIB = 1 << 20
PART = 5 * MIB
LARGE = os.urandom(2 * PART + 12345)

Done = Inline[Copied, Progress, Trouble]


def copy(source: str, target: str, fleet: Locations, **how: Any) -> Done:
    return run_inline(Copy(source=source, target=target, **how), locations=fleet)


@pytest.fixture
def here(tmp_path: Path, fleet: Locations) -> Path:
    return tmp_path / "here"


@pytest.mark.parametrize("verify", ["none", "stream", "readback"])
@pytest.mark.parametrize("size", [0, 1, PART, len(LARGE)])
def test_a_file_goes_to_a_bucket_and_comes_back_the_same(
    here: Path, fleet: Locations, bucket: Bucket, verify: Verify, size: int
) -> None:
    (here / "a").write_bytes(LARGE[:size])
    os.utime(here / "a", (0, 1_500_000_000.25))
    sha256 = hashlib.sha256(LARGE[:size]).hexdigest()

    up = copy("here:a", "s3:films/a", fleet, verify=verify, part_size=PART).result
    down = copy("s3:films/a", "here:b", fleet, verify=verify, part_size=PART).result

    assert bucket.get("pre/fix/films/a") == LARGE[:size]
    assert (here / "b").read_bytes() == LARGE[:size]
    assert (here / "b").stat().st_mtime == 1_500_000_000.25
    assert (up.sha256, up.files, up.bytes) == (down.sha256, down.files, down.bytes) == (sha256, 1, size)
    assert bucket.uploads() == []
    assert sorted(listing(here)) == ["a", "b"]


def test_a_tree_goes_up_and_down_with_the_digest_that_a_copy_on_one_host_gives(
    here: Path, fleet: Locations, bucket: Bucket
) -> None:
    for name, data in {"large": LARGE, "sub/ünï code": b"x", "sub/deeper/empty": b"", "sub.txt": b"y"}.items():
        (here / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "tree" / name).write_bytes(data)
    (here / "tree/link").symlink_to("large")

    up = copy("here:tree", "s3:t", fleet, part_size=PART).result
    down = copy("s3:t", "here:again", fleet, part_size=PART).result
    on_one_host = copy("here:again", "here:third", fleet).result

    assert sorted(bucket.keys()) == [f"pre/fix/t/{name}" for name in ("large", "sub.txt", "sub/deeper/empty", "sub/ünï code")]
    assert {**listing(here / "again"), "link": "link to large"} == listing(here / "tree")
    assert up.sha256 == down.sha256 == on_one_host.sha256
    assert (up.files, up.skipped, down.files) == (4, 1, 4)


def test_many_small_objects(here: Path, fleet: Locations, bucket: Bucket) -> None:
    (here / "many").mkdir()
    for number in range(300):
        (here / f"many/{number}").write_bytes(b"%d" % number)

    up = copy("here:many", "s3:many", fleet).result
    copy("s3:many", "here:back", fleet)

    assert up.files == 300
    assert listing(here / "back") == listing(here / "many")


def test_a_server_copies_within_itself_when_no_digest_is_wanted(here: Path, fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/a", LARGE)

    alone = copy("s3:a", "s3:b", fleet, verify="none").result
    over = copy("s3:a", "s3:b", fleet, verify="none", overwrite="overwrite").result
    through_here = copy("s3:a", "s3:c", fleet, part_size=PART).result

    assert bucket.get("pre/fix/b") == bucket.get("pre/fix/c") == LARGE
    assert alone.sha256 is over.sha256 is None
    assert through_here.sha256 == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.parametrize("size", [1, len(LARGE)])
def test_what_is_there_is_left_replaced_or_an_error_as_the_policy_says(
    here: Path, fleet: Locations, bucket: Bucket, size: int
) -> None:
    (here / "a").write_bytes(LARGE[:size])
    bucket.put("pre/fix/a", b"old")

    taken = copy("here:a", "s3:a", fleet, part_size=PART)
    skipped = copy("here:a", "s3:a", fleet, part_size=PART, overwrite="skip").result
    os.utime(here / "a", (0, 1_000_000_000))
    older = copy("here:a", "s3:a", fleet, part_size=PART, overwrite="if_newer").result
    assert isinstance(taken.error, TargetTaken)
    assert not taken.retry
    assert bucket.get("pre/fix/a") == b"old"
    assert (skipped.kept, skipped.files, older.kept, older.files) == (1, 0, 1, 0)

    os.utime(here / "a", (0, 4_000_000_000))
    newer = copy("here:a", "s3:a", fleet, part_size=PART, overwrite="if_newer").result
    assert (newer.kept, newer.files) == (0, 1)
    assert bucket.get("pre/fix/a") == LARGE[:size]
    bucket.put("pre/fix/a", b"old")
    copy("here:a", "s3:a", fleet, part_size=PART, overwrite="overwrite")

    assert bucket.get("pre/fix/a") == LARGE[:size]
    assert bucket.uploads() == []


def test_the_policies_hold_on_this_host_too(here: Path, fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/a", b"new")
    (here / "a").write_bytes(b"old")
    os.utime(here / "a", (0, 4_000_000_000))

    assert isinstance(copy("s3:a", "here:a", fleet).error, TargetTaken)
    assert copy("s3:a", "here:a", fleet, overwrite="skip").result.kept == 1
    assert copy("s3:a", "here:a", fleet, overwrite="if_newer").result.kept == 1
    assert (here / "a").read_bytes() == b"old"
    os.utime(here / "a", (0, 1_000_000_000))
    assert copy("s3:a", "here:a", fleet, overwrite="if_newer").result.files == 1
    assert (here / "a").read_bytes() == b"new"
    assert copy("here:a", "here:a2", fleet, overwrite="if_newer").result.files == 1
    assert copy("here:a", "here:a2", fleet, overwrite="if_newer").result.kept == 1
    assert copy("here:a", "here:a2", fleet, overwrite="skip").result.kept == 1
    assert listing(here).keys() == {"a", "a2"}


def test_a_tree_is_not_mixed_into_one_that_is_there(here: Path, fleet: Locations, bucket: Bucket) -> None:
    (here / "tree").mkdir()
    (here / "tree/a").write_bytes(b"a")
    bucket.put("pre/fix/t/other", b"x")

    assert isinstance(copy("here:tree", "s3:t", fleet).error, TargetTaken)
    assert bucket.keys() == ["pre/fix/t/other"]
    assert copy("here:tree", "s3:t", fleet, overwrite="skip").result.files == 1
    assert bucket.keys() == ["pre/fix/t/a", "pre/fix/t/other"]


@pytest.mark.parametrize("key", ["../escape", "a/../../b", "/absolute", "a//b", "back\\slash", "./a", "a/" + "n" * 256])
def test_an_object_whose_name_would_escape_is_refused_and_nothing_lands(
    here: Path, fleet: Locations, bucket: Bucket, key: str
) -> None:
    bucket.put(f"pre/fix/t/{key}", b"x")
    bucket.put("pre/fix/t/fine", b"x")

    done = copy("s3:t", "here:t", fleet)

    assert isinstance(done.error, Refused), done.error
    assert not done.retry
    assert listing(here) == {}


def test_an_object_that_lies_below_another_is_a_typed_error(here: Path, fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/t/a", b"x")
    bucket.put("pre/fix/t/a/b", b"x")

    done = copy("s3:t", "here:t", fleet)

    assert isinstance(done.error, TargetUnusable | TargetTaken), "whichever of the two comes first"
    assert listing(here) == {}


def test_what_is_not_there_or_not_open_is_a_typed_error(here: Path, fleet: Locations, bucket: Bucket) -> None:
    (here / "a").write_bytes(b"x")
    no_bucket = Locations({**fleet.places, "gone": bucket.url().replace(bucket.name, "no-such-bucket")}, plain=False)

    assert isinstance(copy("s3:no", "here:x", fleet).error, SourceMissing)
    assert isinstance(copy("gone:a", "here:x", no_bucket).error, SourceMissing)
    assert isinstance(copy("here:a", "gone:x", no_bucket).error, TargetUnusable)
    assert isinstance(copy("here:a", "s4:x", fleet).error, Refused)
    assert isinstance(copy("s3:a", "here:no/such/folder", fleet).error, SourceMissing)
    assert isinstance(copy("https://example.org/a", "here:x", fleet).error, Refused)


def test_no_password_is_in_anything_that_people_read(here: Path, bucket: Bucket) -> None:
    fleet = Locations({"s3": bucket.url().replace("127.0.0.1", "no-such-host.invalid"), "here": str(here)}, plain=False)

    assert "hush" not in repr(fleet)
    assert "hush" not in repr(fleet.elsewhere("s3:a"))


def test_overwrite_of_stored_jobs_may_still_be_a_yes_or_no() -> None:
    assert Copy.model_validate({"source": "/a", "target": "/b", "overwrite": True}).overwrite == "overwrite"
    assert Copy.model_validate({"source": "/a", "target": "/b", "overwrite": False}).overwrite == "error"


@pytest.mark.parametrize("key", ["a", "tree"])
def test_a_download_that_died_after_it_was_published_is_found_to_be_done(
    here: Path, fleet: Locations, bucket: Bucket, key: str
) -> None:
    bucket.put("pre/fix/a", LARGE)
    bucket.put("pre/fix/tree/b", LARGE)
    first = copy(f"s3:{key}", "here:new", fleet, part_size=PART)
    before = (here / "new").stat()

    job = Copy(source=f"s3:{key}", target="here:new", part_size=PART)
    again = run_inline(job, locations=fleet, checkpoint=Kept.model_validate_json(first.checkpoints[-1]), attempt=2)

    assert again.result == first.result
    assert (here / "new").stat().st_ino == before.st_ino
    assert not [name for name in listing(here) if name.startswith(".")]


def test_what_another_put_in_its_place_is_not_taken_for_a_finished_download(
    here: Path, fleet: Locations, bucket: Bucket
) -> None:
    bucket.put("pre/fix/a", LARGE)
    first = copy("s3:a", "here:new", fleet, part_size=PART)
    (here / "new").write_bytes(b"another's")

    job = Copy(source="s3:a", target="here:new", part_size=PART)
    again = run_inline(job, locations=fleet, checkpoint=Kept.model_validate_json(first.checkpoints[-1]), attempt=2)

    assert isinstance(again.error, TargetTaken)
    assert (here / "new").read_bytes() == b"another's"
