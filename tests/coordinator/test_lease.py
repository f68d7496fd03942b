"""A lease that is not renewed in time lapses by itself, in this process and in the guardian's, whatever the loop does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from heavyjobs.coordinator.lease import Lease
from heavyjobs.processes import started_at
from heavyjobs.slots.guardian import Guardian, boot_seconds
from heavyjobs.slots.tree import Root


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    guardian = Guardian()
    guardian.start()
    yield guardian
    guardian.stop()


def victim() -> tuple[subprocess.Popen[bytes], Root]:
    """A process that stands for a worker, with one below it that takes it for its parent."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process, Root(process.pid, started_at(process.pid), "none")


def test_a_lease_that_is_renewed_holds_and_one_that_is_not_lapses_once(guardian: Guardian) -> None:
    clock = [100.0]
    lapses: list[float] = []
    lapsed = threading.Event()

    def lapse() -> None:
        lapses.append(clock[0])
        lapsed.set()

    with Lease(15, guardian, on_lapse=lapse, now=lambda: clock[0]) as lease:
        for _ in range(6):
            clock[0] += 14
            assert lease.holds
            lease.renew(clock[0])
        clock[0] += 14
        assert lease.holds
        clock[0] += 2
        assert lapsed.wait(20)
        assert not lease.holds
        lease.renew(clock[0])
        assert not lease.holds, "what has lapsed does not come back"

    assert lapses == [clock[0]]


def test_a_lease_counts_from_the_start_of_the_tick_and_not_from_its_answer(guardian: Guardian) -> None:
    lapsed = threading.Event()
    with Lease(30, guardian, on_lapse=lapsed.set) as lease:
        lease.renew(boot_seconds() - 29.9)

        assert lapsed.wait(20)


def test_a_tick_after_a_long_sleep_does_not_bring_the_lease_back_before_anyone_has_looked(guardian: Guardian) -> None:
    clock = [100.0]
    lapsed = threading.Event()
    with Lease(15, guardian, on_lapse=lapsed.set, now=lambda: clock[0]) as lease:
        lease.renew(100.0)
        clock[0] += 3600

        lease.renew(clock[0])

        assert not lease.holds
        assert lapsed.wait(20)


def test_leaving_a_lease_ends_its_thread_without_a_lapse(guardian: Guardian) -> None:
    lapsed = threading.Event()

    with Lease(30, guardian, on_lapse=lapsed.set):
        pass

    assert not lapsed.is_set()
    assert "heavyjobs-lease" not in {thread.name for thread in threading.enumerate()}


def test_a_guardian_ends_the_trees_when_the_lease_lapses_and_goes_on(guardian: Guardian) -> None:
    (first, root), (second, other) = victim(), victim()
    guardian.watch(root)
    below = psutil.Process(first.pid).children()

    guardian.renew(boot_seconds() + 0.2)

    assert first.wait(20) == -9
    assert psutil.wait_procs(below, timeout=20)[1] == []
    assert second.poll() is None, "it was not told to watch this one"
    assert guardian.alive
    guardian.watch(other)
    guardian.renew(boot_seconds())
    assert second.wait(20) == -9


def test_a_guardian_ends_the_trees_at_the_end_of_its_pipe_and_then_itself() -> None:
    guardian = Guardian()
    guardian.start()
    process, root = victim()
    guardian.watch(root)

    guardian.stop()

    assert process.wait(20) == -9
    assert not guardian.alive


def test_a_guardian_leaves_alone_what_it_was_told_to_forget(guardian: Guardian) -> None:
    process, root = victim()
    guardian.watch(root)
    guardian.forget(root)

    guardian.stop()

    assert process.poll() is None
    end(process)


def test_a_new_guardian_is_told_all_that_the_one_before_it_knew(guardian: Guardian) -> None:
    process, root = victim()
    guardian.watch(root)
    guardian.renew(boot_seconds() + 1.5)
    assert guardian._process is not None
    guardian._process.kill()
    guardian._process.wait()
    assert not guardian.alive

    guardian.start()

    assert process.wait(20) == -9


@pytest.mark.fault("process: the number of a worker's process is given to another")
def test_a_process_that_has_only_the_same_number_is_left_alone(guardian: Guardian) -> None:
    process, root = victim()
    guardian.watch(Root(root.pid, root.started - 3600, root.marker))

    guardian.stop()

    assert process.poll() is None
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    for below in psutil.Process(process.pid).children():
        below.kill()
    process.kill()
    process.wait()
