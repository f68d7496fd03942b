"""Programs that say nothing of how far they are: stopped ones are ended, slow ones are left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from heavyjobs.jobs import MakeThumbnails
from heavyjobs.jobs.pulse import CPU_SECONDS_MIN, Pulse, Used, used, works
from heavyjobs.jobs.survey import Survey
from heavyjobs.jobs.trouble import Stalled, Stopped
from heavyjobs.testing.inline import run_inline
from tests.jobs.clips import FFMPEG, make_clip
from tests.jobs.folders import listing


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "film.mp4", seconds=4)


def standing(folder: Path, monkeypatch: pytest.MonkeyPatch, *, when: str) -> Path:
    """From now on an ffmpeg whose command says that stops itself before it begins; the file names its process then."""
    script, stopped = folder / "standing", folder / "stopped"
    real = os.environ.get("HEAVYJOBS_FFMPEG") or FFMPEG
    script.write_text(f'#!/bin/sh\ncase "$*" in *{when}*) echo $$ > {stopped}; kill -STOP $$;; esac\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))
    return stopped


def assert_ended(stopped: Path) -> None:
    pid = int(stopped.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.fault("security: a video that crashes or stalls what reads it")
@pytest.mark.parametrize("when", ["ppm", "rawvideo"], ids=["a picture is taken", "a sheet is written"])
def test_thumbnails_whose_ffmpeg_stands_still_are_tried_again(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, when: str
) -> None:
    stopped = standing(tmp_path_factory.mktemp("bin"), monkeypatch, when=when)

    done = run_inline(MakeThumbnails(source=str(film), target=str(tmp_path / "a"), stall_max_seconds=1.5))

    assert isinstance(done.error, Stalled)
    assert done.error.where == str(film)
    assert "has done nothing for" in done.error.what
    assert done.retry
    assert_ended(stopped)
    assert listing(tmp_path) == {}


@pytest.mark.fault("security: a video that crashes or stalls what reads it")
def test_a_survey_whose_ffmpeg_stands_still_is_tried_again(
    film: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stopped = standing(tmp_path_factory.mktemp("bin"), monkeypatch, when="framecrc")

    done = run_inline(Survey(source=str(film), piece_seconds=1, stall_max_seconds=1.5))

    assert isinstance(done.error, Stalled)
    assert done.retry
    assert_ended(stopped)


def test_what_a_program_reads_and_writes_counts_however_little() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        echo.stdin.write(b"x")
        echo.stdout.read(1)
        before = used()

        echo.stdin.write(b"x")
        echo.stdout.read(1)
        after = used()

        echo.stdin.close()
    assert works(before, after)


# -- decided without a program


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def feel_for(pulse: Pulse, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds * 4)):
        clock.now += 0.25
        pulse.look()


def test_whatever_little_is_read_or_computed_is_a_sign_of_life() -> None:
    clock, seen = Clock(), [Used()]
    pulse = Pulse(where="film", stall_seconds=10, clock=clock, measure=lambda: seen[-1])

    for sign in (Used(0.0, 1), Used(CPU_SECONDS_MIN, 1), Used(0.0, 0), Used(0.0, 1)):  # the third is of another program
        feel_for(pulse, clock, 9)
        seen.append(sign)
    feel_for(pulse, clock, 9)

    with pytest.raises(Stopped) as still:
        feel_for(pulse, clock, 4)
    assert isinstance(still.value.trouble, Stalled)


def test_waking_now_and_then_to_see_whether_to_wait_on_is_no_sign_of_life() -> None:
    clock = Clock()
    pulse = Pulse(where="film", stall_seconds=10, clock=clock, measure=lambda: Used(clock.now / 2000, 0))

    with pytest.raises(Stopped):
        feel_for(pulse, clock, 20)


def test_a_worker_that_stood_still_itself_does_not_blame_a_silent_program() -> None:
    clock = Clock()
    pulse = Pulse(where="film", stall_seconds=10, clock=clock, measure=Used)

    for _ in range(9):
        clock.now += 3600
        pulse.look()


def test_less_than_before_is_what_the_next_program_uses() -> None:
    assert works(Used(9.0, 0), Used(0.01, 0))
    assert not works(Used(9.0, 5), Used(9.0, 5))
