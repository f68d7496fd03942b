"""A copy whose worker is killed, or that is cancelled, under a real coordinator."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
import psutil
import pytest

from heavyjobs import Client
from heavyjobs.jobs import Copy, Progress, Verify
from heavyjobs.locations import Locations
from heavyjobs.model import Ending, JobState
from heavyjobs.storage.protocol import STALL_SECONDS
from heavyjobs.store import open_store
from heavyjobs.testing.inline import run_inline
from tests.jobs.folders import listing
from tests.lifecycle.asking import endings, until
from tests.lifecycle.hosts import Daemon
from tests.storage.conftest import Bucket
from tests.storage.relay import Fate, Relay
from tests.storage.servers import ftp, rclone
from tests.storage.work import OftenCopy

PART = 5 << 20
PARTS = 24
HANDS = 3
KILLS = 4


@pytest.fixture
async def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/jobs.db"
    async with open_store(address) as store:
        await store.migrate()
    return address


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client.open(url) as client:
        yield client


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def places(bucket: Bucket, trouble: Relay, here: Path) -> dict[str, str]:
    return {"s3": bucket.url("p", endpoint=trouble.url), "here": str(here)}


class Killing:
    """Kills the workers of a daemon when so many requests of a kind have come."""

    def __init__(self, daemon: Daemon, method: str, word: str, at: list[int]) -> None:
        self._daemon, self._method, self._word, self._at = daemon, method, word, at
        self._lock = threading.Lock()  # each request has a thread of its own
        self._seen = 0
        self.kills = 0

    def __call__(self, line: str, count: int) -> Fate:
        if not (line.startswith(self._method) and self._word in line):
            return "passes"
        with self._lock:
            self._seen += 1
            if self._seen not in self._at:
                return "passes"
            self.kills += 1
            for worker in self._daemon.workers():
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
        return "reset"


def random_points(seed: int) -> list[int]:
    """The same ones each time."""
    return sorted(random.Random(seed).sample(range(2, PARTS), KILLS))  # noqa: S311 - not a secret


@pytest.mark.fault("storage: a worker is killed in the middle of an upload")
async def test_an_upload_whose_worker_is_killed_again_and_again_sends_no_part_that_is_there(
    client: Client, url: str, tmp_path: Path, here: Path, bucket: Bucket, trouble: Relay, places: dict[str, str]
) -> None:
    data = os.urandom(PART * PARTS)
    (here / "a").write_bytes(data)
    with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places) as daemon:
        trouble.fate = killing = Killing(daemon, "PUT", "partNumber", random_points(1))

        copy = OftenCopy(source="here:a", target="s3:a", part_size=PART, parallel=HANDS)
        handle = await client.submit(copy)
        result = await handle.result(timeout=90)

    assert killing.kills == KILLS
    assert (result.bytes, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert bucket.get("p/a") == data
    assert bucket.uploads() == []
    assert PARTS <= trouble.count("PUT .*partNumber") <= PARTS + KILLS * (HANDS + 1)


@pytest.mark.fault("storage: a worker is killed in the middle of a download")
async def test_a_download_whose_worker_is_killed_again_and_again_fetches_no_part_that_landed(
    client: Client, url: str, tmp_path: Path, here: Path, bucket: Bucket, trouble: Relay, places: dict[str, str]
) -> None:
    data = os.urandom(PART * PARTS)
    bucket.put("p/a", data)
    with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places) as daemon:
        trouble.fate = killing = Killing(daemon, "GET", "/p/a", random_points(2))

        copy = OftenCopy(source="s3:a", target="here:a", part_size=PART, parallel=HANDS)
        handle = await client.submit(copy)
        await handle.result(timeout=90)

    assert killing.kills == KILLS
    assert (here / "a").read_bytes() == data
    assert sorted(listing(here)) == ["a"]
    assert PARTS <= trouble.count("GET .*/p/a") <= PARTS + KILLS * (HANDS + 1)


@pytest.mark.fault("people: a host drains in the middle of a download")
async def test_a_download_that_is_handed_back_fetches_no_part_that_landed(
    client: Client, url: str, tmp_path: Path, here: Path, bucket: Bucket, trouble: Relay, places: dict[str, str]
) -> None:
    data = os.urandom(PART * PARTS)
    bucket.put("p/a", data)
    how: dict[str, Any] = {"modules": ("tests.storage.work",), "locations": places}
    handle = await client.submit(OftenCopy(source="s3:a", target="here:a", part_size=PART, parallel=HANDS))
    with Daemon(tmp_path / "first", url, **how) as first:
        trouble.fate = lambda line, count: "stalls" if line.startswith("GET") and "/p/a" in line and count > 9 else "passes"
        await asyncio.to_thread(trouble.stalled.wait, 30)
        first.signal(signal.SIGTERM)
        await first.ended()

    before = trouble.count("GET .*/p/a")
    trouble.fate = lambda line, count: "passes"
    with Daemon(tmp_path / "second", url, **how):
        await handle.result(timeout=90)

    assert await endings(client, handle) == [Ending.HANDED_BACK, Ending.SUCCEEDED]
    assert (here / "a").read_bytes() == data
    assert sorted(listing(here)) == ["a"]
    assert trouble.count("GET .*/p/a") - before < PARTS


@pytest.mark.fault("storage: a worker is killed in the middle of a tree")
async def test_a_tree_goes_on_where_its_worker_was_killed(
    client: Client, url: str, tmp_path: Path, here: Path, bucket: Bucket, trouble: Relay, places: dict[str, str]
) -> None:
    (here / "tree").mkdir()
    for number in range(40):
        (here / f"tree/{number:02}").write_bytes(b"%d" % number)
    with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places) as daemon:
        trouble.fate = killing = Killing(daemon, "PUT", "/p/tree/", [7, 23])

        copy = OftenCopy(source="here:tree", target="s3:tree", parallel=HANDS)
        handle = await client.submit(copy)
        result = await handle.result(timeout=60)

    found = bucket.keys()
    assert killing.kills == 2
    assert {key: bucket.get(key) for key in found} == {f"p/tree/{n:02}": b"%d" % n for n in range(40)}
    assert result.files == 40
    assert trouble.count("PUT .*/p/tree/") <= 40 + 2 * (HANDS + 1)


@pytest.mark.fault("storage: a worker is killed in the middle of an upload to SFTP")
async def test_an_upload_to_sftp_whose_worker_is_killed_goes_on_with_the_parts_that_are_there(
    client: Client, url: str, tmp_path: Path, here: Path
) -> None:
    data = os.urandom(12 << 20)
    (here / "a").write_bytes(data)
    (tmp_path / "served").mkdir()
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(tmp_path / "host_key"))
    options = ("--user", "me", "--pass", "hush", "--key", str(tmp_path / "host_key"), "--cache-dir", str(tmp_path / "cache"))
    with rclone("sftp", tmp_path / "served", *options, "--vfs-cache-mode", "full") as server:
        host, _, port = server.partition(":")
        (tmp_path / "known").write_text(f"[{host}]:{port} {key.get_name()} {key.get_base64()}\n")
        places = {"far": f"sftp://me:hush@{server}/?known_hosts={tmp_path}/known", "here": str(here)}
        with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places) as daemon:
            copy = OftenCopy(source="here:a", target="far:a", part_size=1 << 20, parallel=2, bandwidth=2 << 20)
            handle = await client.submit(copy)

            async def under_way() -> bool:
                status = (await handle.status()) or Progress(phase="")
                return status.phase == "copying" and status.done >= 5 << 20

            await until(under_way)
            for worker in daemon.workers():
                worker.kill()
            result = await handle.result(timeout=60)
        said = [line.text async for line in handle.logs()]
        verified = Verify(source="here:a", target="far:a")
        same = await asyncio.to_thread(run_inline, verified, locations=Locations(places, plain=False))

    assert result.sha256 == same.result.sha256 == hashlib.sha256(data).hexdigest()
    (kept,) = [int(found[1]) for line in said if (found := re.search(r"going on with a: (\d+) parts", line))]
    assert kept >= 5


@pytest.mark.fault("storage: a worker is killed in the middle of an upload by fsspec")
async def test_an_upload_by_fsspec_whose_worker_is_killed_again_and_again_shows_nothing_before_it_is_whole(
    client: Client, url: str, tmp_path: Path, here: Path
) -> None:
    data = os.urandom(PART * PARTS // 2)
    (here / "a").write_bytes(data)
    served = tmp_path / "served"
    served.mkdir()
    with ftp(served, user="me", password="hush") as server:  # noqa: S106 - of a server that lives for a test
        places = {"far": f"ftp://me:hush@{server}/?private=allow", "here": str(here)}
        with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places) as daemon:
            handle = await client.submit(OftenCopy(source="here:a", target="far:a", part_size=PART, bandwidth=64 << 20))
            shown: list[str] = []
            for point in random_points(3):
                await until(lambda point=point: sum(_sizes(served)) >= point * len(data) // (2 * PARTS))  # type: ignore[misc]
                for worker in daemon.workers():
                    worker.kill()
                left = set(served.iterdir())
                shown += [path.name for path in left if not path.name.startswith(".upload-")]
                await until(lambda left=left: left.isdisjoint(served.iterdir()))  # type: ignore[misc]
            result = await handle.result(timeout=90)

    assert shown == []
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert [path.name for path in served.iterdir()] == ["a"]
    assert (served / "a").read_bytes() == data


@pytest.mark.fault("storage: a worker is killed in the middle of a copy on this host")
async def test_a_copy_on_this_host_whose_worker_is_killed_again_and_again_goes_on_after_what_is_on_the_disk(
    client: Client, url: str, tmp_path: Path, here: Path
) -> None:
    data = os.urandom(PART * PARTS)
    (here / "a").write_bytes(data)
    with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations={"here": str(here)}) as daemon:
        handle = await client.submit(OftenCopy(source="here:a", target="here:b", verify="readback"))
        kills = 0
        for point in random_points(4):
            await until(lambda point=point: (here / "b").exists() or sum(_blocks(here)) >= point * PART)  # type: ignore[misc]
            if not (here / "b").exists():
                kills += 1
                for worker in daemon.workers():
                    worker.kill()
        result = await handle.result(timeout=90)
        said = [line.text async for line in handle.logs()]

    starts = [int(found[1]) for line in said if (found := re.search(r"going on with .* at byte (\d+)", line))]
    assert kills
    assert starts == sorted(starts)
    assert starts[-1] >= OftenCopy.interval_bytes
    assert (here / "b").read_bytes() == data
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert sorted(listing(here)) == ["a", "b"]


def _blocks(folder: Path) -> list[int]:
    """Of unfinished outputs, the bytes that they have on the disk."""
    sizes: list[int] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_blocks * 512 if ".part." in path.name else 0)
    return sizes


def _sizes(folder: Path) -> list[int]:
    """Of what lies in a folder from which things vanish."""
    sizes: list[int] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


@pytest.mark.fault("storage: a server stalls while a copy is cancelled")
async def test_a_copy_that_a_server_holds_up_is_cancelled_long_before_its_grace_is_over(
    client: Client, url: str, tmp_path: Path, here: Path, bucket: Bucket, trouble: Relay, places: dict[str, str]
) -> None:
    bucket.put("p/a", os.urandom(3 * PART))
    trouble.fate = lambda line, count: "stalls" if line.startswith("GET") and "/p/a" in line else "passes"
    with Daemon(tmp_path / "daemon", url, modules=("tests.storage.work",), locations=places):
        handle = await client.submit(Copy(source="s3:a", target="here:a", part_size=PART))
        await asyncio.to_thread(trouble.stalled.wait, 30)

        asked = time.monotonic()
        await handle.cancel(grace="60s")

        async def cancelled() -> bool:
            return (await handle.job()).state is JobState.CANCELLED

        await until(cancelled)
        took = time.monotonic() - asked

    assert took < STALL_SECONDS * 0.75, took  # long before its grace is over, or the server given up, on a busy machine too
    assert listing(here) == {}
