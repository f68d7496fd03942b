"""A folder to pack, and the programs of the system that say what an archive holds."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Convert, Extract, Pack, Progress
from heavyjobs.jobs.archive_checkpoint import Archived
from heavyjobs.jobs.extract_checkpoint import Extracted
from heavyjobs.jobs.trouble import (
    Trouble,
)
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing

FORMATS = ("tar", "tar.gz", "tar.zst", "tar.xz", "tar.bz2", "zip")


Done = Inline[Archived, Progress, Trouble]
ExtractDone = Inline[Extracted, Progress, Trouble]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with what real folders have."""
    folder = tmp_path / "photos"
    (folder / "empty").mkdir(parents=True)
    (folder / "sub/deeper").mkdir(parents=True)
    (folder / "empty file").touch()
    (folder / "sub/ünïcode 日本 \N{PILE OF POO}").write_text("unicode")
    (folder / "sub/deeper" / ("long " + "n" * 240)).write_text("long name")
    (folder / "large").write_bytes(os.urandom(3 << 20))
    (folder / "text").write_bytes(b"compresses well\n" * 100_000)
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o751)
    (folder / "link").symlink_to("sub/deeper")
    os.utime(folder / "script", ns=(0, 1_500_000_000_123_456_789))
    os.utime(folder / "sub", ns=(0, 1_400_000_000_000_000_000))
    return folder


def pack(source: Path, target: Path, *, overwrite: bool = False) -> Done:
    return run_inline(Pack(source=str(source), target=str(target), overwrite=overwrite))


def convert(source: Path, target: Path, *, overwrite: bool = False) -> Done:
    return run_inline(Convert(source=str(source), target=str(target), overwrite=overwrite))


def extract(source: Path, target: Path, **options: Any) -> ExtractDone:
    return run_inline(Extract(source=str(source), target=str(target), **options))


def unpacked(archive: Path, into: Path) -> Path:
    """Unpack with the programs of the system."""
    into.mkdir()
    argv = {
        ".zip": ["unzip", "-q", str(archive), "-d", str(into)],
        ".zst": ["tar", "--zstd", "-xf", str(archive), "-C", str(into)],
    }.get(archive.suffix, ["tar", "-xf", str(archive), "-C", str(into)])
    subprocess.run(argv, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return into


def refused_without_trace(folder: Path, run: Callable[[], Inline[Any, Progress, Trouble]]) -> tuple[Trouble | None, bool]:
    """The typed error of a job that must fail, which has to leave the folder as it was."""
    before = listing(folder)
    done = run()
    assert listing(folder) == before
    assert done.error is not None
    return done.error, done.retry


def tar_with(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as opened:
        for info in infos:
            opened.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made
