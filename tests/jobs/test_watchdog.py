"""Real ffmpegs that stand still: stopped in the middle, or reading from somebody who has stopped to write."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from heavyjobs import Context, Job
from heavyjobs.context import Context as AnyContext
from heavyjobs.jobs import ExtractAudio, MakeHls, Progress, Transcode
from heavyjobs.jobs.encode import PROGRESS, follow
from heavyjobs.jobs.media import reading
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import Refused, Stalled, Stopped, Trouble, typed
from heavyjobs.jobs.watchdog import OUTPUT_FLOOR_BYTES, Bounds, Watchdog, output_bound, written
from heavyjobs.testing.inline import run_inline
from tests.jobs.clips import FFMPEG, failed_without_trace, ffmpeg, make_clip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "film.mp4", seconds=30, size="320x240")


def transcoders() -> list[psutil.Process]:
    """The ffmpegs that this process has started and that are still there; it may have other children."""
    return [child for child in psutil.Process().children() if not ended(child) and "-progress" in child.cmdline()]


def stop_ffmpeg(monkeypatch: pytest.MonkeyPatch, phase: str) -> list[psutil.Process]:
    """Have the ffmpeg of this process stopped as soon as it has done something in that phase; the list gets it then."""
    stopped: list[psutil.Process] = []
    report = AnyContext.report

    def watch(ctx: AnyContext[Any, Any], status: Progress) -> None:
        report(ctx, status)
        if not stopped and status.phase == phase and status.done > 0:
            stopped.extend(transcoders())
            for process in stopped:
                process.send_signal(signal.SIGSTOP)

    monkeypatch.setattr("heavyjobs.context.Context.report", watch)
    return stopped


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.fault("security: a video that crashes or stalls what reads it")
@pytest.mark.parametrize(
    ("kind", "name", "phase", "options"),
    [
        (Transcode, "a.webm", "transcoding", {"preset": "webm-vp9-opus"}),
        (MakeHls, "a", "encoding 240p", {"renditions": ["240p"]}),
    ],
)
def test_an_ffmpeg_that_stands_still_is_ended_and_the_job_tried_again(
    tmp_path: Path,
    film: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    name: str,
    phase: str,
    options: dict[str, Any],
) -> None:
    stopped = stop_ffmpeg(monkeypatch, phase)
    job = kind(source=str(film), target=str(tmp_path / name), stall_max_seconds=3, **options)

    done = run_inline(job)

    assert isinstance(done.error, Stalled)
    assert done.error.where == str(film)
    assert "nothing has moved for" in done.error.what
    assert done.retry
    assert len(stopped) == 1
    assert ended(stopped[0])
    assert not (tmp_path / name).exists()


class Copied(BaseModel):
    frames: int


class CopyPipe(Job[Copied, Progress, Trouble], kind="test_watchdog.copy_pipe"):
    """What no kind in the box reads: a pipe."""

    source: str
    target: str

    def run(self, ctx: Context[Progress, Trouble]) -> Copied:
        with typed(ctx, target=self.target):
            meter = Meter(ctx.report)
            meter.start("copying", total=None, unit="seconds")
            output = ["-c", "copy", "-f", "mpegts", "-y", f"file:{self.target}"]
            bounds = Bounds(where=self.source, output=Path(self.target), stall_seconds=1.5)
            argv = [*reading(FFMPEG, Path(self.source)), *PROGRESS, *output]
            return Copied(frames=follow(ctx, argv, meter, made="a copy", bounds=bounds).frames)


@pytest.mark.fault("security: a video that crashes or stalls what reads it")
def test_an_ffmpeg_whose_source_never_goes_on_is_ended(tmp_path: Path, film: Path) -> None:
    ffmpeg("-i", film, "-t", "1", "-c", "copy", "-f", "mpegts", tmp_path / "film.ts")
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(writer, (tmp_path / "film.ts").read_bytes()[: 60 << 10])

        done = run_inline(CopyPipe(source=str(pipe), target=str(tmp_path / "a.ts")))
    finally:
        os.close(writer)

    assert isinstance(done.error, Stalled)
    assert done.retry
    assert transcoders() == []


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        (Transcode, "a.mp4", {"height": 120}),
        (ExtractAudio, "a.wav", {"preset": "wav"}),
        (MakeHls, "a", {"renditions": ["240p"]}),
    ],
)
def test_an_output_larger_than_it_may_be_is_refused_and_never_cut_off(
    tmp_path: Path, film: Path, kind: Any, name: str, options: dict[str, Any]
) -> None:
    def run(most: int) -> Any:
        return run_inline(kind(source=str(film), target=str(tmp_path / name), output_max_bytes=most, **options))

    error, retry = failed_without_trace(tmp_path, lambda: run(20_000))

    assert isinstance(error, Refused)
    assert "larger than" in error.what
    assert not retry
    assert run(1 << 30).error is None


def test_all_renditions_of_a_film_share_what_the_output_may_be(tmp_path: Path, film: Path) -> None:
    def run(name: str, *, most: int | None = None) -> Any:
        job = MakeHls(source=str(film), target=str(tmp_path / name), renditions=("240p",), output_max_bytes=most)
        return run_inline(job)

    result = run("whole").result
    film_bytes = result.renditions[0].bytes

    error, retry = failed_without_trace(tmp_path, lambda: run("a", most=film_bytes + 1000))  # the sound is one too many

    assert isinstance(error, Refused)
    assert not retry
    assert result.sound.bytes > 1000


def test_a_film_of_too_many_streams_is_refused_before_ffmpeg_decodes_it(tmp_path: Path) -> None:
    make_clip(tmp_path / "one.mp4", seconds=0.2)
    ffmpeg("-i", tmp_path / "one.mp4", "-map", "0:v", *["-map", "0:a"] * 64, "-c", "copy", tmp_path / "many.mkv")

    error, retry = failed_without_trace(
        tmp_path, lambda: run_inline(Transcode(source=str(tmp_path / "many.mkv"), target=str(tmp_path / "a.mp4")))
    )

    assert isinstance(error, Refused)
    assert "has 65 streams" in error.what
    assert "raise" not in error.would_do, "there is no parameter for it"
    assert not retry


# -- decided without a program


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def look_for(watchdog: Watchdog, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds * 4)):
        clock.now += 0.25
        watchdog.look()


def test_whatever_moves_is_no_standstill(tmp_path: Path) -> None:
    clock, output = Clock(), tmp_path / "out"
    watchdog = Watchdog(Bounds(where="film", output=output, stall_seconds=10), clock=clock)

    look_for(watchdog, clock, 9)
    watchdog.note(frames=1, seconds=0.0)
    look_for(watchdog, clock, 9)
    watchdog.note(frames=1, seconds=0.04)
    look_for(watchdog, clock, 9)
    output.write_bytes(b"more")
    look_for(watchdog, clock, 9)
    os.utime(output, ns=(1, 1))  # rewritten in place, as for an index at the start
    look_for(watchdog, clock, 9)

    with pytest.raises(Stopped) as still:
        look_for(watchdog, clock, 2)
    assert "at 0.04 s, frame 1, with 4 B written" in str(still.value)


def test_a_worker_that_stood_still_itself_does_not_blame_its_program(tmp_path: Path) -> None:
    clock = Clock()
    watchdog = Watchdog(Bounds(where="film", output=tmp_path / "out", stall_seconds=10), clock=clock)

    for _ in range(9):
        clock.now += 3600
        watchdog.look()


def test_without_a_parameter_the_bound_follows_the_source() -> None:
    assert output_bound(None, 1) == OUTPUT_FLOOR_BYTES
    assert output_bound(None, 10 << 30) == 160 << 30
    assert output_bound(5, 10 << 30) == 5


def test_an_output_that_is_not_there_yet_has_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"four")
    (tmp_path / "b").write_bytes(b"four")

    assert written(tmp_path / "none") == (0, 0)
    assert written(tmp_path)[0] == 8
