"""What an invocation used is counted from where its worker's last one ended, and memory that forks share only once."""

from __future__ import annotations

from heavyjobs.model import Bill
from heavyjobs.slots.bill import Account, Sample, sample
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run

BEFORE = Bill(cpu_seconds=5.0, read_bytes=1000, written_bytes=2000)


def test_the_bill_of_a_crash_is_what_was_seen_less_what_earlier_jobs_had_used() -> None:
    account = Account(BEFORE)
    account.add(Sample(cpu_seconds=7.5, memory_bytes=300, read_bytes=1100, written_bytes=2500))

    assert account.bill(3.0) == Bill(
        wall_seconds=3.0, cpu_seconds=2.5, memory_peak_bytes=300, read_bytes=100, written_bytes=500
    )


def test_a_crash_before_anybody_looked_costs_nothing_of_what_earlier_jobs_had_used() -> None:
    assert Account(BEFORE).bill(0.2) == Bill(wall_seconds=0.2)


def test_of_what_was_seen_and_what_the_worker_says_the_larger_is_true() -> None:
    account = Account(BEFORE)
    account.add(Sample(cpu_seconds=6.0, memory_bytes=900, read_bytes=5000, written_bytes=2000))

    own = Bill(wall_seconds=2.0, cpu_seconds=1.5, memory_peak_bytes=800, read_bytes=10, written_bytes=70)
    assert account.bill(9.0, own) == Bill(
        wall_seconds=2.0, cpu_seconds=1.5, memory_peak_bytes=900, read_bytes=4000, written_bytes=70
    )


async def test_a_worker_says_what_it_had_used_before_its_next_job(worker: WorkerProcess) -> None:
    ended = await run(worker, "give_back").end()

    assert worker.used == ended.so_far
    assert worker.used.cpu_seconds > 0


async def test_memory_that_forks_share_is_counted_once(worker: WorkerProcess) -> None:
    size = 300 << 20
    ear = run(worker, "fork_idly", {"size": size, "forks": 4})
    await ear.hears("forked")

    used = sample([worker.root.pid])[worker.root.pid]

    assert size < used.memory_bytes < 2 * size
