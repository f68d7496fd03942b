"""Films for tests, made by ffmpeg, and what an independent look at a film says: its pictures, its times, its sound."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from heavyjobs.jobs.media import find_ffmpeg

WIDTH, HEIGHT = 32, 24
PICTURE_BYTES = WIDTH * HEIGHT
ALIKE = 6.0
"""Mean difference of two pictures of 0 to 255 that show the same, one of them encoded anew; neighbours differ by more."""


@cache
def packaged_ffmpeg() -> str:
    """The one of the wheel: its version is known."""
    with pytest.MonkeyPatch.context() as nothing_installed:
        nothing_installed.setenv("PATH", "")
        nothing_installed.delenv("HEAVYJOBS_FFMPEG", raising=False)
        return find_ffmpeg()


def ffmpeg(*arguments: str | Path) -> bytes:
    argv = [
        packaged_ffmpeg(),
        "-hide_banner",
        "-nostdin",
        "-v",
        "error",
        "-y",
        *(os.fspath(argument) for argument in arguments),
    ]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def film(path: Path, *encoder: str, seconds: float = 6, sound: bool = True, filters: str = "null") -> Path:
    """A film in which every picture differs from all others: a clock, and bars that move across it."""
    bars = "geq=lum='128+100*sin((X+Y*3+N*9)/7)':cb=128:cr=128"
    picture = ["-f", "lavfi", "-i", f"color=size=160x120:rate=25:duration={seconds},{bars},{filters}"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"] if sound else []
    ffmpeg(*picture, *tone, *(encoder or ("-c:v", "libx264", "-preset", "veryfast", "-g", "15")), path)
    return path


@dataclass(frozen=True, slots=True)
class Times:
    """When the packets of a stream are decoded and shown, in seconds, in the order of the file."""

    decoded: list[Fraction]
    shown: list[Fraction]


def times(path: Path, stream: str) -> Times:
    decoded: list[Fraction] = []
    shown: list[Fraction] = []
    tick = Fraction(0)
    for line in ffmpeg("-i", path, "-map", stream, "-c", "copy", "-copyts", "-f", "framecrc", "-").decode().splitlines():
        if line.startswith("#tb 0:"):
            tick = Fraction(line.split()[-1])
        elif not line.startswith("#"):
            fields = line.split(",")
            decoded.append(int(fields[1]) * tick)
            shown.append(int(fields[2]) * tick)
    return Times(decoded, shown)


def pictures(path: Path) -> list[bytes]:
    """Every picture that is decoded, small and grey, none repeated or left out for its time; a complaint of ffmpeg's raises."""
    small = ["-vf", f"scale={WIDTH}:{HEIGHT}:flags=area", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-f", "rawvideo"]
    data = ffmpeg("-xerror", "-i", path, "-map", "0:V:0", *small, "-")
    return [data[at : at + PICTURE_BYTES] for at in range(0, len(data), PICTURE_BYTES)]


def difference(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)
