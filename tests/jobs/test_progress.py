from __future__ import annotations

import pytest

from heavyjobs.jobs.progress import Meter, Progress, describe
from heavyjobs.jobs.trouble import shown


class Watch:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_million_small_steps_give_ten_reports_a_second() -> None:
    watch, reports = Watch(), list[Progress]()
    meter = Meter(lambda progress: reports.append(progress.model_copy()), clock=watch)

    meter.start("copying", total=200_000)
    for _ in range(100_000):
        watch.now += 1 / 50_000
        meter.add(1)

    assert 18 <= len(reports) <= 21
    assert reports[-1].rate == pytest.approx(50_000, rel=0.01)
    assert reports[-1].left_seconds == pytest.approx(2.0, rel=0.1)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    watch, reports = Watch(), list[Progress]()
    meter = Meter(lambda progress: reports.append(progress.model_copy()), clock=watch)
    meter.start("copying", total=None)

    for speed in (1000, 10):
        for _ in range(100):
            watch.now += 0.11
            meter.add(speed * 0.11)

    assert reports[-1].rate == pytest.approx(10)
    assert reports[-1].left_seconds is None  # without a total there is nothing to wait for


def test_a_source_that_is_longer_than_it_said_is_never_past_its_end() -> None:
    watch = Watch()
    meter = Meter(lambda _: None, clock=watch)
    meter.start("transcoding", total=10, unit="seconds")
    reports = list[Progress]()
    meter = Meter(lambda progress: reports.append(progress.model_copy()), clock=watch)
    meter.start("transcoding", total=10, unit="seconds")
    watch.now += 1
    meter.at(12)

    assert reports[-1].left_seconds == 0
    assert describe(reports[-1]).startswith("transcoding 100 %")


def test_a_progress_reads_well() -> None:
    progress = Progress(phase="packing", done=25 << 30, total=50 << 30, rate=71 << 20, left_seconds=190)

    assert describe(progress) == "packing 50 %, 25.0 GiB, 71.0 MiB/s, 3 min 10 s left"
    assert describe(Progress(phase="reading", done=3, unit="files")) == "reading 3 files, 0 files/s"


def test_names_are_shown_on_one_line_and_bounded() -> None:
    assert shown("a\nb\x1b[0m\0\udce9") == "a\\nb\\x1b[0m␀\\udce9"
    assert shown("ünï 日本") == "ünï 日本"
    assert len(shown("x" * 1_000_000)) < 500
