"""Clips that tests of media are made of, a second or two long, and what ffmpeg really decodes of a file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heavyjobs.jobs.trouble import Trouble
from heavyjobs.testing.inline import Inline
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import packaged_ffmpeg

FFMPEG = packaged_ffmpeg()

SOUND = "sine=frequency=440:sample_rate=48000"


def ffmpeg(*arguments: str | Path) -> str:
    argv = [FFMPEG, "-hide_banner", "-nostdin", "-y", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, errors="replace").stderr


def make_clip(path: Path, *, seconds: float = 2, size: str = "160x120", sound: bool = True, rate: int = 25) -> Path:
    video = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    audio = ["-f", "lavfi", "-i", f"{SOUND}:duration={seconds}"] if sound else []
    ffmpeg(*video, *audio, "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-movflags", "+faststart", path)
    return path


def decoded(path: Path | str, *options: str) -> tuple[int, float]:
    """Frames and seconds that ffmpeg really decodes, without a complaint."""
    said = ffmpeg("-xerror", "-v", "info", *options, "-i", path, "-f", "null", "-")
    frames = re.findall(r"frame=\s*(\d+)", said)
    hours, minutes, seconds = re.findall(r"time=(\d+):(\d+):([\d.]+)", said)[-1]
    return int(frames[-1]) if frames else 0, int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def gray(path: Path) -> tuple[int, int, bytes]:
    """Width, height and a byte of brightness for each pixel of a picture."""
    argv = [FFMPEG, "-v", "info", "-i", str(path), "-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    done = subprocess.run(argv, check=True, capture_output=True)
    width, height = re.findall(r", (\d+)x(\d+)", done.stderr.decode(errors="replace"))[-1]
    return int(width), int(height), done.stdout


def failed_without_trace(folder: Path, run: Callable[[], Inline[Any, Any, Trouble]]) -> tuple[Trouble | None, bool]:
    """The typed error of a run that has to have one, and to leave the folder as it was; and whether it is retried."""
    before = listing(folder)
    done = run()
    assert listing(folder) == before
    assert done.error is not None
    return done.error, done.retry
