"""Against rclone, as people run it, and with rclone looking at what was written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Copy, Progress
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.trouble import TargetTaken, Trouble
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.conftest import Bucket, bucket_at
from tests.storage.servers import ID, SECRET, rclone, rclone_program

PART = 5 << 20
LARGE = os.urandom(3 * PART + 1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    with rclone("s3", tmp_path / "served", "--auth-key", f"{ID},{SECRET}", "--vfs-cache-mode", "off") as address:
        yield address if address.startswith("http") else f"http://{address}"


@pytest.fixture
def fleet(server: str, tmp_path: Path) -> Locations:
    (tmp_path / "here").mkdir()
    bucket: Bucket = bucket_at(server, "films")
    return Locations({"s3": bucket.url("p"), "here": str(tmp_path / "here")}, plain=False)


def copy(source: str, target: str, fleet: Locations, **how: Any) -> Inline[Copied, Progress, Trouble]:
    return run_inline(Copy(source=source, target=target, part_size=PART, **how), locations=fleet)


def test_a_tree_goes_to_rclone_and_comes_back_and_rclone_finds_no_difference(fleet: Locations, tmp_path: Path) -> None:
    for name, data in {"large": LARGE, "sub/ünï code": b"x", "sub/empty": b""}.items():
        (tmp_path / "here/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here/tree" / name).write_bytes(data)

    up = copy("here:tree", "s3:tree", fleet)
    down = copy("s3:tree", "here:back", fleet)

    assert up.error is None, up.error
    assert down.error is None, down.error
    assert listing(tmp_path / "here/back") == listing(tmp_path / "here/tree")
    folders = [str(tmp_path / "here/tree"), str(tmp_path / "served/films/p/tree")]
    argv = [rclone_program(), "check", *folders, "--config", "/dev/null"]
    said = subprocess.run([*argv, "--download"], capture_output=True, text=True, check=True).stderr
    assert "0 differences found" in said


@pytest.mark.parametrize("data", [b"new", LARGE])
def test_where_a_server_ignores_conditions_a_look_beforehand_keeps_what_is_there(
    fleet: Locations, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "here/a").write_bytes(b"old")
    (tmp_path / "here/b").write_bytes(data)
    copy("here:a", "s3:a", fleet)

    again = copy("here:b", "s3:a", fleet)

    assert isinstance(again.error, TargetTaken)
    assert (tmp_path / "served/films/p/a").read_bytes() == b"old"
