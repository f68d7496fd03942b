"""Splitting and joining for tests, and what the programs of the system say about the result."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from heavyjobs.jobs import Join, Progress, Split, VerifyChunks
from heavyjobs.jobs.chunks.cutting import Method
from heavyjobs.jobs.chunks.join import Joined
from heavyjobs.jobs.chunks.split import Stored
from heavyjobs.jobs.chunks.verify import Verified
from heavyjobs.jobs.trouble import Trouble
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing

R = TypeVar("R")

MEBIBYTE = 1 << 20


def noise(size: int, *, seed: int = 0) -> bytes:
    """The same random bytes on every machine and with every Python."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - test data


def split(
    source: Path,
    folder: Path,
    *,
    method: Method = "fastcdc",
    chunk_bytes: int = 64 << 10,
    name: str = "manifest",
    compare: bool = False,
    overwrite: bool = False,
) -> Inline[Stored, Progress, Trouble]:
    """Into `folder/chunks` and a manifest beside it."""
    job = Split(
        source=str(source),
        target=str(folder / name),
        chunks=str(folder / "chunks"),
        method=method,
        chunk_bytes=chunk_bytes,
        compare=compare,
        overwrite=overwrite,
    )
    return run_inline(job)


def join(folder: Path, target: Path, *, name: str = "manifest", overwrite: bool = False) -> Inline[Joined, Progress, Trouble]:
    job = Join(source=str(folder / name), chunks=str(folder / "chunks"), target=str(target), overwrite=overwrite)
    return run_inline(job)


def verify(folder: Path, *, name: str = "manifest") -> Inline[Verified, Progress, Trouble]:
    return run_inline(VerifyChunks(source=str(folder / name), chunks=str(folder / "chunks")))


def failed_without_trace(folder: Path, run: Callable[[], Inline[R, Progress, Trouble]]) -> tuple[Trouble, bool]:
    """The typed error of a job that must fail, and leave the folder as it was; whether it would be tried again."""
    before = listing(folder)
    done = run()
    assert listing(folder) == before
    assert done.error is not None
    return done.error, done.retry


def stored(folder: Path) -> list[Path]:
    """The files of chunks."""
    return sorted(path for path in (folder / "chunks").rglob("*") if path.is_file())


def entries(manifest: Path) -> list[dict[str, Any]]:
    """The chunks that a manifest names, as any reader of JSON sees them."""
    return [json.loads(line) for line in manifest.read_text().splitlines()[1:-1]]


def chunk_path(folder: Path, sha256: str) -> Path:
    return folder / "chunks" / sha256[:2] / sha256


def write_manifest(
    path: Path, chunks: list[dict[str, Any]], *, head: dict[str, Any] | None = None, tail: dict[str, Any] | None = None
) -> None:
    """A manifest that is as right as these parts are: its sums and its digest fit them."""
    first = {
        "format": "heavyjobs.chunks",
        "version": 1,
        "digest": "sha256",
        "algorithm": {"name": "fixed", "chunk_bytes": 4096},
        **(head or {}),
    }
    lines = b"".join(json.dumps(line).encode() + b"\n" for line in [first, *chunks])
    total = sum(size for chunk in chunks if isinstance(size := chunk.get("bytes"), int))
    last = {"chunks": len(chunks), "bytes": total, "lines_sha256": hashlib.sha256(lines).hexdigest(), **(tail or {})}
    path.write_bytes(lines + json.dumps(last).encode() + b"\n")


def sha256sum(path: Path) -> str:
    """What the program of the system says."""
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
