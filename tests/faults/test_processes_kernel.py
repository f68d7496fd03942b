"""What only the kernel does to a process: give its number to another, kill it because memory ran out. Both need root here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import Ending
from tests.faults.work import WORK, Killed
from tests.lifecycle.asking import until
from tests.lifecycle.hosts import ROOT, coordinating

MEMORY: tuple[Path, Path] = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
"""Where control groups of memory are made: in the first version of them, and in the second."""


@pytest.mark.fault("process: the number of a worker's process is given to another, in a namespace of its own")
def test_a_process_that_was_given_the_number_of_a_worker_lives_on() -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    writable = [*unshare, "test", "-w", "/proc/sys/kernel/ns_last_pid"]
    if os.geteuid() != 0 or shutil.which("unshare") is None or subprocess.run(writable, check=False).returncode:
        pytest.skip("no namespace of process numbers can be made here; run these tests as root, with unshare (util-linux)")

    done = subprocess.run(
        [*unshare, sys.executable, "-m", "tests.faults.reuse"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "the same number: True, alive: True\n"


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 96 MiB of memory."""
    first, second = MEMORY
    base, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (second, "memory.max")
    group = base / f"heavyjobs-test-{uuid4().hex}"
    try:
        group.mkdir()
        (group / limit).write_text(str(96 << 20))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group of memory can be made here ({error}); run these tests as root, outside of a container")
    yield group
    group.rmdir()


@pytest.mark.fault("process: the kernel kills a worker for lack of memory")
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_worker_that_the_kernel_killed_for_lack_of_memory_says_so(client: Client, url: str, small_group: Path) -> None:
    async with coordinating(url, modules=[WORK]):
        killed = await client.submit(Killed(group=small_group))

        with pytest.raises(JobDead, match=r"killed by signal 9 .* out of memory"):
            await killed.result(timeout=60)

    (invocation,) = await client.invocations(killed.id)
    assert invocation.ending is Ending.OUT_OF_MEMORY
    await until(lambda: not (small_group / "cgroup.procs").read_text())
