"""A guardian that stands still holds nobody up."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from heavyjobs.slots import guardian as guarding
from heavyjobs.slots.guardian import Guardian, boot_seconds


@pytest.fixture
def stopped() -> Iterator[tuple[Guardian, psutil.Process]]:
    """A guardian that stands still since it was started."""
    before = {*psutil.Process().children()}
    guardian = Guardian()
    guardian.start()
    [process] = {*psutil.Process().children()} - before
    process.suspend()
    yield guardian, process
    guardian.stop()


@pytest.mark.fault("process: a guardian that is stopped for hours")
def test_a_guardian_that_reads_nothing_any_more_is_given_up_instead_of_waited_for(
    stopped: tuple[Guardian, psutil.Process],
) -> None:
    guardian, process = stopped

    for _ in range(20_000):
        guardian.renew(boot_seconds() + 3600)

    process.wait(60)
    assert not guardian.alive


@pytest.mark.fault("process: a guardian that is stopped when its session ends")
def test_a_guardian_that_does_not_leave_is_killed(
    stopped: tuple[Guardian, psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    guardian, process = stopped
    monkeypatch.setattr(guarding, "LEAVE_SECONDS", 0.1)

    guardian.stop()

    assert not process.is_running()
