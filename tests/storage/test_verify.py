from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.jobs import Copy, Progress, Verify
from heavyjobs.jobs.trouble import Different, Refused, SourceMissing, Trouble
from heavyjobs.jobs.verify import Checked, Verified
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.storage.conftest import Bucket

LARGE = os.urandom((9 << 20) + 7)
FILES = {"large": LARGE, "empty": b"", "sub/a": b"a", "sub/b": b"b", "sub.txt": b"c"}


@pytest.fixture
def here(tmp_path: Path, fleet: Locations, bucket: Bucket) -> Path:
    """The same tree in a folder and in a bucket."""
    for name, data in FILES.items():
        (tmp_path / "here/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here/tree" / name).write_bytes(data)
        bucket.put(f"pre/fix/tree/{name}", data)
    return tmp_path / "here"


def verify(fleet: Locations, *, checkpoint: Checked | None = None, **how: Any) -> Inline[Verified, Progress, Trouble]:
    job = Verify.model_validate({"source": "here:tree", "target": "s3:tree", **how})
    return run_inline(job, locations=fleet, checkpoint=checkpoint)


@pytest.mark.usefixtures("here")
def test_what_is_the_same_has_the_digest_that_a_copy_gives(fleet: Locations) -> None:
    copied = run_inline(Copy(source="here:tree", target="here:copy"), locations=fleet).result

    both, sizes = verify(fleet).result, verify(fleet, compare="size").result
    alone = verify(fleet, target=None, sha256=copied.sha256).result

    assert (both.files, both.bytes, both.sha256) == (5, len(LARGE) + 3, copied.sha256)
    assert alone == both
    assert (sizes.files, sizes.sha256) == (5, None)


@pytest.mark.usefixtures("here")
def test_a_byte_a_missing_name_and_one_too_many_are_each_found(fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/tree/large", LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    bucket.put("pre/fix/tree/sub/a", b"longer")
    bucket.put("pre/fix/tree/zoo", b"x")
    bucket.client.delete_object(Bucket=bucket.name, Key="pre/fix/tree/sub/b")

    content, sizes = verify(fleet), verify(fleet, compare="size")

    assert isinstance(content.error, Different)
    assert not content.retry
    assert sorted(content.error.names) == ["large (changed)", "sub/a (changed)", "sub/b (missing)", "zoo (extra)"]
    assert (content.error.missing, content.error.extra, content.error.changed) == (1, 1, 2)
    assert isinstance(sizes.error, Different)
    assert sizes.error.changed == 1
    assert any("sub/b" in line for line in content.log)


@pytest.mark.usefixtures("here")
def test_single_files_are_compared_too(fleet: Locations) -> None:
    assert verify(fleet, source="here:tree/large", target="s3:tree/large").result.bytes == len(LARGE)
    assert isinstance(verify(fleet, source="here:tree/large", target="s3:tree/sub/a").error, Different)
    assert isinstance(verify(fleet, source="here:tree/large", target=None, sha256="0" * 64).error, Different)


@pytest.mark.usefixtures("here")
def test_it_goes_on_after_what_was_compared(fleet: Locations) -> None:
    whole = verify(fleet).result
    half = Checked(last="empty", files=1)
    half.listing.add(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n")

    done = verify(fleet, checkpoint=half)

    assert done.result == whole
    assert all(status.total != 2 * whole.bytes or status.done <= 2 * whole.bytes for status in done.statuses)


@pytest.mark.usefixtures("here")
def test_places_that_are_not_there_are_typed_errors_and_nothing_to_compare_with_is_refused(fleet: Locations) -> None:
    assert isinstance(verify(fleet, target="s3:no").error, SourceMissing)
    assert isinstance(verify(fleet, target="no:x").error, Refused)
    with pytest.raises(ValidationError, match="nothing to compare with"):
        Verify(source="/a")
