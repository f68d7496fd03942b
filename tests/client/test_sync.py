"""The blocking client does the same from any number of threads, and leaves none behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from heavyjobs import (
    Cancelled,
    Client,
    ConfigurationError,
    Dead,
    JobDead,
    JobState,
    LogLine,
    Reported,
    StateChanged,
    StoreUnavailable,
    Succeeded,
    SyncClient,
    UsageError,
)
from tests.client.bridged import BridgedPlayer
from tests.client.player import Bake, Baked, Baking, Burnt

THREADS = 8
JOBS_EACH = 25


@pytest.fixture
def sync_client(url: str) -> Iterator[SyncClient]:
    with SyncClient.open(url) as client:
        yield client


@pytest.fixture
def sync_player(url: str, sync_client: SyncClient) -> Iterator[BridgedPlayer]:
    assert sync_client.list() == []
    with BridgedPlayer.registered(url) as player:
        yield player


def test_results_errors_and_statuses_are_typed_as_in_the_other_client(
    sync_client: SyncClient, sync_player: BridgedPlayer
) -> None:
    good, bad = sync_client.submit_many([Bake(), Bake()])
    first, second = sync_player.claims()
    sync_player.say(first, status='{"degrees":5}')
    assert sync_client.handle(first.job, Bake).status() == Baking(degrees=5)
    sync_player.succeed(first)
    sync_player.fail(second)

    assert good.result(timeout=10) == Baked(loaves=3)
    assert good.outcome() == good.wait() == Succeeded(Baked(loaves=3))
    assert isinstance(bad.wait(), Dead)
    with pytest.raises(JobDead) as raised:
        bad.result(timeout=10)
    assert raised.value.error == Burnt(smoke="black")


def test_a_timeout_is_the_builtin_one(sync_client: SyncClient) -> None:
    handle = sync_client.submit(Bake())

    with pytest.raises(TimeoutError, match="it goes on"):
        handle.result(timeout=0.05)

    assert handle.wait(timeout=0.05) is None
    assert handle.cancel() == Cancelled()
    assert handle.retry().state is JobState.READY
    assert handle.update(priority=3).policy.priority == 3


def test_a_job_is_watched_and_its_log_read_line_by_line(sync_client: SyncClient, sync_player: BridgedPlayer) -> None:
    handle = sync_client.submit(Bake())
    watching = handle.watch()
    assert isinstance(next(watching), StateChanged)
    (claim,) = sync_player.claims()
    sync_player.say(claim, "mixing", status='{"degrees":5}')
    sync_player.succeed(claim, says=["done"])

    updates = list(watching)

    assert [update.text for update in updates if isinstance(update, LogLine)] == ["mixing", "done"]
    assert [update.status for update in updates if isinstance(update, Reported)] == [Baking(degrees=5)]
    assert [line.text for line in handle.logs(follow=True)] == ["mixing", "done"]
    early = sync_client.logs(handle.id)
    assert next(early).text == "mixing"
    early.close()


def test_many_threads_use_one_client_at_once(sync_client: SyncClient, sync_player: BridgedPlayer) -> None:
    everyone_submitted = threading.Barrier(THREADS + 1)

    def work(thread: int) -> list[int]:
        handles = [sync_client.submit(Bake(flour=thread * JOBS_EACH + n)) for n in range(JOBS_EACH)]
        everyone_submitted.wait(timeout=60)
        return [handle.result(timeout=60).loaves for handle in handles]

    with ThreadPoolExecutor(THREADS) as threads:
        working = [threads.submit(work, thread) for thread in range(THREADS)]
        everyone_submitted.wait(timeout=60)
        claims = sync_player.claims()
        sync_player.succeed(*claims)
        loaves = [done for thread in working for done in thread.result()]

    assert len(claims) == THREADS * JOBS_EACH
    assert loaves == [3] * (THREADS * JOBS_EACH)


def test_closing_ends_the_calls_of_other_threads_and_leaves_no_thread(url: str) -> None:
    before = set(threading.enumerate())
    client = SyncClient.open(url)
    handle = client.submit(Bake())
    watching, following = handle.watch(), handle.logs(follow=True)
    next(watching)
    with ThreadPoolExecutor(2) as threads:
        calls: list[Future[Baked] | Future[LogLine]] = [threads.submit(handle.result), threads.submit(next, following)]
        next(handle.watch())

        client.close()
        client.close()

        for call in calls:
            with pytest.raises(UsageError, match="closed"):
                call.result(timeout=10)
    with pytest.raises(UsageError, match="the client is closed; open another"):
        handle.result()
    watching.close()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before


def test_a_database_that_cannot_be_opened_is_said_at_once_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    with pytest.raises(StoreUnavailable):
        SyncClient.open(f"sqlite:///{tmp_path}/no/such/folder/jobs.db")
    with pytest.raises(ConfigurationError, match="no store for mysql://"):
        SyncClient.open("mysql://localhost/jobs")

    assert set(threading.enumerate()) <= before


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # which is what the test is about
def test_a_forked_child_is_told_to_open_its_own(sync_client: SyncClient) -> None:
    handle = sync_client.submit(Bake())
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            handle.wait(timeout=5)
        except UsageError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        assert "open one in each process" in pipe.read()


FORGETFUL = """
import sys
from heavyjobs import SyncClient
client = SyncClient.open(sys.argv[1])
handle = client.submit_kind("film.make", {})
print(client.get(handle.id).state, handle.wait(timeout=0.2))
"""


def test_a_program_that_forgets_to_close_ends_in_silence(url: str) -> None:
    argv = [sys.executable, "-W", "error", "-c", FORGETFUL, url]

    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout, done.stderr) == (0, "ready None\n", "")


async def test_it_refuses_to_block_its_own_event_loop(sync_client: SyncClient) -> None:
    def reenter(client: Client) -> None:
        assert client is not None
        sync_client.list()

    async def inside() -> None:
        reenter(sync_client._client)

    with pytest.raises(UsageError, match="use Client there"):
        sync_client._bridge.call(inside())
