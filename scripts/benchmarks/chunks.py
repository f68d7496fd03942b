"""Chunks, in MB/s, side by side with what bounds them: SHA-256 alone, cutting alone, cp.

    PYTHONPATH=scripts python -m benchmarks.chunks [--megabytes 512] [--rounds 3] [--folder DIR]

The jobs run in this process, with progress, log and checkpoints, and all that they write is on the disk when they end; `cp` is
followed by a sync for that reason. Rounds are interleaved; medians are shown, the fastest beside them. The source is cached.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from loguru import logger

from benchmarks.machine import describe
from benchmarks.report import Report, console, summarize
from heavyjobs.job import Job
from heavyjobs.jobs import Join, Split, VerifyChunks
from heavyjobs.jobs.chunks.cutting import Method, algorithm_for, cut
from heavyjobs.jobs.chunks.manifest import Head, Tail, entry_line, line_of, opened_manifest
from heavyjobs.jobs.chunks.source import opened_source
from heavyjobs.jobs.progress import Meter
from heavyjobs.testing.inline import run_inline

METHODS: Final[tuple[Method, ...]] = ("fixed", "fastcdc")
MB: Final = 1_000_000


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks.chunks", description="Chunks, in MB/s.")
    options.add_argument("--megabytes", type=int, default=512)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, help="on the disk that is meant; by default that for temporary files")
    given = options.parse_args()
    logger.remove()
    with tempfile.TemporaryDirectory(prefix="heavyjobs-chunks-", dir=given.folder) as name:
        folder = Path(name)
        for what, value in describe(folder, None):
            console.print(f"[dim]{what:<12}[/] {value}")
        console.print()
        source = _film(folder / "film", given.megabytes)
        reports = [_speeds(folder, source, rounds=given.rounds), _anew(folder, source), _long(folder)]
    summarize(reports)


def _film(path: Path, megabytes: int) -> Path:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MB))
    return path


def _speeds(folder: Path, source: Path, *, rounds: int) -> Report:
    works = _works(folder, source)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for method in METHODS:
            shutil.rmtree(folder / method, ignore_errors=True)
        os.sync()
        for name, work in works.items():
            began, spent = time.perf_counter(), _processor_seconds()
            work()
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(_processor_seconds() - spent)
    report, size = (
        Report(f"{source.stat().st_size / MB:,.0f} MB, chunks of 1 MiB, medians of {rounds}"),
        source.stat().st_size / MB,
    )
    for name, taken in seconds.items():
        speed = f"{size / statistics.median(taken):,.0f} MB/s (best {size / min(taken):,.0f})"
        report.note(name, f"{speed}, {1000 * statistics.median(processor[name]) / size:.2f} s of a processor for a GB")
    report.show()
    return report


def _processor_seconds() -> float:
    """Of this process and the programs that it ran; what a busy machine does not change much."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _works(folder: Path, source: Path) -> dict[str, Callable[[], object]]:
    works: dict[str, Callable[[], object]] = {
        "sha256 alone": lambda: _digest(source),
        "sha256sum": lambda: subprocess.run(["sha256sum", source], check=True, capture_output=True),
        "cp, and sync": lambda: _cp(source, folder / "copy"),
        "fastcdc alone": lambda: _cut(source),
    }
    for method in METHODS:
        store, manifest, chunks = folder / method, str(folder / method / "manifest"), str(folder / method / "chunks")
        join = Join(source=manifest, chunks=chunks, target=str(store / "film"), overwrite=True)
        works[f"split, {method}: all new"] = partial(_split, source, store, method)
        works[f"split, {method}: all known"] = partial(_split, source, store, method)
        works[f"verify, {method}"] = partial(_run, VerifyChunks(source=manifest, chunks=chunks))
        works[f"join, {method}"] = partial(_run, join)
    return works


def _anew(folder: Path, source: Path) -> Report:
    """How much of a changed file is stored anew."""
    report = Report(f"stored anew of {source.stat().st_size / MB:,.0f} MB that were split before")
    original, extra = source.read_bytes(), os.urandom(10 * MB)
    middle = len(original) // 2
    changes = {
        "unchanged": original,
        "10 MB appended": original + extra,
        "10 MB inserted in the middle": original[:middle] + extra + original[middle:],
        "one byte before it": b"x" + original,
    }
    for name, data in changes.items():
        (folder / "changed").write_bytes(data)
        for method in METHODS:
            shutil.copytree(folder / method, folder / "trial")
            result = _split(folder / "changed", folder / "trial", method)
            report.note(f"{name}, {method}", f"{result.new_bytes / MB:,.1f} MB in {result.new_chunks} chunks")
            shutil.rmtree(folder / "trial")
    report.show()
    return report


def _long(folder: Path) -> Report:
    """A manifest of a million chunks: how long reading it takes, and how much memory."""
    report, count, path = Report("a manifest of a million chunks"), 1_000_000, folder / "long"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for line in (line_of(Head(algorithm=algorithm_for("fixed", 1024))), *_lines(count)):
            digest.update(line)
            file.write(line)
        file.write(line_of(Tail(chunks=count, bytes=count * 1024, lines_sha256=digest.hexdigest())))
    began = time.process_time()
    _walk(path)
    report.note("checked, then read: processor", f"{time.process_time() - began:.1f} s, {path.stat().st_size / MB:,.0f} MB")
    tracemalloc.start()
    with opened_manifest(path, where="long", meter=Meter(lambda _: None)):
        pass
    report.at_most("memory while it is checked", tracemalloc.get_traced_memory()[1] / 1024, 1024, "KiB")
    tracemalloc.stop()
    report.show()
    return report


def _lines(count: int) -> Any:
    name = hashlib.sha256(b"").hexdigest()
    return (entry_line(number * 1024, 1024, name) for number in range(count))


def _walk(path: Path) -> None:
    with opened_manifest(path, where="long", meter=Meter(lambda _: None)) as manifest:
        for _ in manifest.listed(manifest.start):
            pass


def _digest(source: Path) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _cp(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    target.unlink()


def _cut(source: Path) -> None:
    with opened_source(source, where="film") as stream:
        for _ in cut(stream, algorithm_for("fastcdc", 1 << 20)):
            pass


def _split(source: Path, store: Path, method: Method) -> Any:
    store.mkdir(exist_ok=True)
    return _run(
        Split(source=str(source), target=str(store / "manifest"), chunks=str(store / "chunks"), method=method, overwrite=True)
    )


def _run(job: Job[Any, Any, Any]) -> Any:
    done = run_inline(job)
    if done.error is not None:
        sys.exit(f"{job.kind}: {done.error}")
    return done.result


if __name__ == "__main__":
    main()
