"""`ctx.output` for a place elsewhere: whole or not at all, and only while the claim is held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heavyjobs import Context, Job
from heavyjobs.context import AsyncContext
from heavyjobs.errors import TargetExists, WorkError
from heavyjobs.locations import Locations
from heavyjobs.storage import Denied
from heavyjobs.testing.inline import run_inline
from tests.storage.conftest import Bucket
from tests.storage.relay import Relay

LARGE = os.urandom((9 << 20) + 7)


class Write(Job[int], kind="storage_tests.write"):
    """Writes an output of so many bytes, or stops in the middle."""

    target: str
    size: int
    replace: bool = False
    folder: bool = False
    breaks: bool = False

    def run(self, ctx: Context) -> int:
        with ctx.output(self.target, replace=self.replace) as out:
            out.path.mkdir() if self.folder else out.path.write_bytes(LARGE[: self.size])
            if self.breaks:
                raise ZeroDivisionError
        assert not out.path.exists()
        return out.bytes


class AsyncWrite(Job[int], kind="storage_tests.async_write"):
    target: str

    async def run(self, ctx: AsyncContext) -> int:
        async with ctx.output(self.target) as out:
            out.path.write_bytes(LARGE)
        return out.bytes


@pytest.mark.parametrize("size", [0, 1, len(LARGE)])
def test_an_output_appears_in_a_bucket_when_the_block_is_left(fleet: Locations, bucket: Bucket, size: int) -> None:
    assert run_inline(Write(target="s3:out", size=size), locations=fleet).result == size

    assert bucket.get("pre/fix/out") == LARGE[:size]
    assert bucket.uploads() == []


def test_of_an_asynchronous_job_too(fleet: Locations, bucket: Bucket) -> None:
    assert run_inline(AsyncWrite(target="s3:out"), locations=fleet).result == len(LARGE)
    assert bucket.get("pre/fix/out") == LARGE


def test_a_block_that_is_left_by_an_exception_leaves_nothing(fleet: Locations, bucket: Bucket) -> None:
    with pytest.raises(ZeroDivisionError):
        run_inline(Write(target="s3:out", size=5, breaks=True), locations=fleet)
    with pytest.raises(WorkError, match="an output is one file"):
        run_inline(Write(target="s3:out", size=5, folder=True), locations=fleet)

    assert bucket.keys() == bucket.uploads() == []


def test_what_is_there_is_replaced_only_when_that_was_said(fleet: Locations, bucket: Bucket) -> None:
    bucket.put("pre/fix/out", b"old")

    with pytest.raises(TargetExists, match="s3:out exists"):
        run_inline(Write(target="s3:out", size=5), locations=fleet)
    assert bucket.get("pre/fix/out") == b"old"
    run_inline(Write(target="s3:out", size=5, replace=True), locations=fleet)

    assert bucket.get("pre/fix/out") == LARGE[:5]


def test_what_came_meanwhile_is_not_replaced(bucket: Bucket, trouble: Relay) -> None:
    places = Locations({"s3": bucket.url(endpoint=trouble.url)}, plain=False)

    def fate(line: str, count: int) -> str:
        if "partNumber=1" in line:
            bucket.put("out", b"somebody's")
        return "passes"

    trouble.fate = fate  # type: ignore[assignment]
    with pytest.raises(TargetExists):
        run_inline(Write(target="s3:out", size=len(LARGE)), locations=places)

    assert bucket.get("out") == b"somebody's"
    assert bucket.uploads() == []


def test_an_answer_that_was_lost_at_the_end_is_no_failure(
    bucket: Bucket, trouble: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heavyjobs.storage.patience.FIRST_WAIT_SECONDS", 0.01)
    places = Locations({"s3": bucket.url(endpoint=trouble.url)}, plain=False)
    trouble.fate = lambda line, count: (
        "answer lost" if line.startswith("POST") and "uploadId" in line and count == 1 else "passes"
    )

    assert run_inline(Write(target="s3:out", size=len(LARGE)), locations=places).result == len(LARGE)

    assert bucket.get("out") == LARGE


def test_on_this_host_nothing_changed(fleet: Locations, tmp_path: Path) -> None:
    run_inline(Write(target="here:out", size=5), locations=fleet)

    assert (tmp_path / "here/out").read_bytes() == LARGE[:5]
    assert issubclass(Denied, WorkError)
