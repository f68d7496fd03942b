"""A block that takes too long is interrupted, and alarms that others have set ring all the same."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

import pytest

from heavyjobs.slots.hurrying import TookTooLong, within


def test_a_block_that_goes_on_is_interrupted_again_and_again() -> None:
    interrupted = 0

    with suppress(TookTooLong), within(0.05):
        while interrupted < 2:
            with suppress(TookTooLong):
                spin()
            interrupted += 1

    assert interrupted == 2


def test_another_s_handler_mask_and_alarm_are_as_they_were() -> None:
    rang: list[int] = []
    own = signal.signal(signal.SIGALRM, lambda number, _frame: rang.append(number))
    before = signal.setitimer(signal.ITIMER_REAL, 3600, 60)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    try:
        with pytest.raises(TookTooLong), within(0.05):
            spin()

        assert signal.SIGALRM in signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 3000 < left <= 3600
        assert interval == 60
        signal.raise_signal(signal.SIGALRM)
        assert rang == [signal.SIGALRM]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGALRM, own)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_in_another_thread_nothing_is_set() -> None:
    timers: list[tuple[float, float]] = []

    def look() -> None:
        with within(3600):
            timers.append(signal.getitimer(signal.ITIMER_REAL))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert [left for left, _ in timers if left > 3000] == []
    assert len(timers) == 1


def spin() -> None:
    while True:
        pass
