"""What servers and networks do to a copy, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Copy, Progress
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_far import Done as Checkpoint
from heavyjobs.jobs.trouble import OutputWrong, SourceChanged, StorageAway, Trouble
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.conftest import Bucket
from tests.storage.relay import Fate, Relay

PART = 5 << 20
LARGE = os.urandom(3 * PART + 1)

Done = Inline[Copied, Progress, Trouble]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a").write_bytes(LARGE)
    (tmp_path / "here/small").write_bytes(b"small")
    return tmp_path / "here"


@pytest.fixture
def fleet(bucket: Bucket, trouble: Relay, here: Path) -> Locations:
    return Locations({"s3": bucket.url("p", endpoint=trouble.url), "here": str(here)}, plain=False)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """As patient as ever, but quick about it."""
    monkeypatch.setattr("heavyjobs.storage.patience.FIRST_WAIT_SECONDS", 0.01)


def copy(source: str, target: str, fleet: Locations, **how: Any) -> Done:
    return run_inline(Copy(source=source, target=target, part_size=PART), locations=fleet, **how)


@pytest.mark.parametrize("fate", ["500", "503", "reset", "cut", "answer lost"])
@pytest.mark.parametrize(("name", "data"), [("a", LARGE), ("small", b"small")])
def test_each_request_may_fail_twice_and_the_copy_is_whole(
    here: Path, fleet: Locations, bucket: Bucket, trouble: Relay, fate: Fate, name: str, data: bytes
) -> None:
    trouble.fate = lambda line, count: fate if count <= 2 else "passes"

    up = copy(f"here:{name}", f"s3:{name}", fleet)
    down = copy(f"s3:{name}", "here:back", fleet)

    assert up.error is None, up.error
    assert down.error is None, down.error
    assert bucket.get(f"p/{name}") == (here / "back").read_bytes() == data
    assert any("try 3 of" in line for line in up.log)


def test_a_server_that_stays_away_is_a_typed_error_and_the_next_attempt_sends_what_is_missing(
    fleet: Locations, bucket: Bucket, trouble: Relay
) -> None:
    trouble.fate = lambda line, count: "503" if "partNumber=3" in line else "passes"

    failed = copy("here:a", "s3:a", fleet)

    assert isinstance(failed.error, StorageAway)
    assert failed.retry
    assert bucket.keys() == []
    assert bucket.uploads() == ["p/a"]
    sent = trouble.count("PUT .*partNumber")
    trouble.fate = lambda line, count: "passes"
    again = copy("here:a", "s3:a", fleet, checkpoint=Checkpoint.model_validate_json(failed.checkpoints[-1]), attempt=2)
    assert again.error is None
    assert bucket.get("p/a") == LARGE
    assert trouble.count("PUT .*partNumber") - sent == 4 - sent
    assert bucket.uploads() == []


def test_the_last_attempt_leaves_no_upload(fleet: Locations, bucket: Bucket, trouble: Relay) -> None:
    trouble.fate = lambda line, count: "503" if "partNumber=3" in line else "passes"

    failed = copy("here:a", "s3:a", fleet, attempt=3)

    assert isinstance(failed.error, StorageAway)
    assert bucket.uploads() == []


def test_a_download_that_failed_shows_nothing_and_another_job_begins_anew(
    here: Path, fleet: Locations, bucket: Bucket, trouble: Relay
) -> None:
    bucket.put("p/b", LARGE)
    gets = 0

    def fate(line: str, count: int) -> Fate:
        nonlocal gets
        gets += line.startswith("GET /") and "list-type" not in line
        return "503" if gets > 2 and line.startswith("GET /") and "list-type" not in line else "passes"

    trouble.fate = fate
    failed = copy("s3:b", "here:b", fleet)
    assert isinstance(failed.error, StorageAway)
    assert [name for name in listing(here) if not name.startswith(".")] == ["a", "small"]
    trouble.fate = lambda line, count: "passes"
    another = copy("s3:b", "here:b", fleet, checkpoint=Checkpoint.model_validate_json(failed.checkpoints[-1]))

    assert another.error is None
    assert (here / "b").read_bytes() == LARGE


def test_an_object_that_is_replaced_while_it_is_read_is_found_out(
    here: Path, fleet: Locations, bucket: Bucket, trouble: Relay
) -> None:
    bucket.put("p/b", LARGE)
    gets = 0

    def fate(line: str, count: int) -> Fate:
        nonlocal gets
        gets += line.startswith("GET")
        if gets == 2 and line.startswith("GET"):
            bucket.put("p/b", LARGE[::-1])
        return "passes"

    trouble.fate = fate

    done = copy("s3:b", "here:b", fleet)

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert not (here / "b").exists()


def test_a_server_that_says_nothing_is_given_up_and_asked_again(
    fleet: Locations, bucket: Bucket, trouble: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heavyjobs.storage.s3.STALL_SECONDS", 3.0)
    trouble.fate = lambda line, count: "stalls" if count == 1 and "partNumber=2" in line else "passes"

    done = copy("here:a", "s3:a", fleet)

    assert done.error is None
    assert bucket.get("p/a") == LARGE


@pytest.mark.parametrize(("name", "data"), [("a", LARGE), ("small", b"small")])
def test_what_comes_back_otherwise_than_it_was_sent_is_removed_and_sent_again(
    fleet: Locations, bucket: Bucket, trouble: Relay, name: str, data: bytes
) -> None:
    trouble.fate = lambda line, count: "spoiled" if line.startswith("GET") and f"/p/{name}" in line else "passes"

    failed = copy(f"here:{name}", f"s3:{name}", fleet)
    left = bucket.keys()
    trouble.fate = lambda line, count: "passes"
    again = copy(f"here:{name}", f"s3:{name}", fleet, attempt=2)

    assert isinstance(failed.error, OutputWrong)
    assert failed.retry
    assert left == []
    assert again.error is None
    assert bucket.get(f"p/{name}") == data
