"""ffmpeg as a program that reads hostile files: where it is, how it is called, and what a file is by its word.

A playlist may name other files, so formats are limited as well as protocols: with `-protocol_whitelist file` alone, a playlist
that was called .mp4 read a neighbour's file. `file:` keeps a name from being an option, a URL or a pattern.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.facts import Caps
from heavyjobs.jobs.trouble import NotInstalled, Unreadable, stop

FORMATS: Final = (
    "aac,ac3,aiff,asf,avi,caf,eac3,flac,flv,h264,hevc,ivf,matroska,mov,mp3,mpeg,mpegts,mxf,nut,obu,ogg,rm,wav,yuv4mpegpipe"
)
"""Containers that hold their own data; none that only names other files (hls, dash, concat, image2, …)."""

_DURATION: Final = re.compile(r"\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_BEGINS: Final = re.compile(r"\s*Duration: .*, start: (-?\d+(?:\.\d+)?)")
_STREAM: Final = re.compile(r"\s*Stream #\d+:\d+.*?: (Video|Audio): (\w+)")
_SIZE: Final = re.compile(r", (\d{1,6})x(\d{1,6})\b")


@dataclass(slots=True)
class Probed:
    """What a media file is.

    Attributes:
        seconds: of the longest stream; None where the file does not say. exact: False when ffmpeg estimated it.
        begins: the earliest time in the file, in seconds; often 0.
        video, audio: the first stream's codec; None when there is none. A cover picture is no video.
    """

    seconds: float | None = None
    exact: bool = True
    begins: float = 0.0
    video: str | None = None
    audio: str | None = None
    width: int | None = None
    height: int | None = None


def find_ffmpeg() -> str:
    """The ffmpeg of `HEAVYJOBS_FFMPEG`, of the PATH, or of the imageio-ffmpeg package.

    Raises:
        Stopped: NotInstalled.
    """
    named = os.environ.get("HEAVYJOBS_FFMPEG")
    found = shutil.which(named or "ffmpeg")
    if named and not found:
        stop(NotInstalled, f"HEAVYJOBS_FFMPEG={named} is no program", where="this host", would_do="correct or unset it")
    found = found or _packaged_ffmpeg()
    if not found:
        stop(NotInstalled, "there is no ffmpeg", where="this host", would_do="install ffmpeg, or pip install heavyjobs[media]")
    return found


def _packaged_ffmpeg() -> str | None:
    with suppress(ImportError, RuntimeError):  # no package, or one without a program for this system
        package: Any = importlib.import_module("imageio_ffmpeg")
        return str(package.get_ffmpeg_exe())
    return None


def reading(ffmpeg: str, path: Path, *, options: Sequence[str] = ()) -> list[str]:
    """The start of a command that reads this file and nothing else; `options` are of reading, like where to begin.

    Pictures that grow past the cap in the middle are not decoded, whatever the file said of them before.
    """
    limits = ["-format_whitelist", FORMATS, "-protocol_whitelist", "file", "-max_pixels", str(Caps().pixels)]
    return [ffmpeg, "-hide_banner", "-nostdin", *limits, *options, "-i", f"file:{path}"]


def probe(ctx: Context[Any, Any], ffmpeg: str, path: Path, *, where: str) -> Probed:
    """Ask what a file is; `where` names it in errors.

    Raises:
        Stopped: Unreadable, when it is no media file.
    """
    lines: list[str] = []
    try:
        with ctx.program(reading(ffmpeg, path), stream="stderr") as said:
            lines.extend(said)
    except ProgramFailed as failed:  # always: it was not told what to make of the file
        if failed.code is None:
            raise
    if not any(line.startswith("Input #0") for line in lines):
        why = lines[-1].rpartition(": ")[2] if lines else "ffmpeg says nothing"
        stop(Unreadable, f"is no media file that can be read: {why}", where=where, would_do="check that it is whole")
    return understand(lines)


def understand(lines: list[str]) -> Probed:
    """Read what `ffmpeg -i` prints about one file."""
    probed = Probed()
    for line in lines:
        if found := _BEGINS.match(line):
            probed.begins = float(found[1])
        if found := _DURATION.match(line):
            probed.seconds = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
        elif "Estimating duration from bitrate" in line:
            probed.exact = False
        elif (found := _STREAM.match(line)) and "(attached pic)" not in line:
            _note_stream(probed, found[1], found[2], line)
    return probed


def _note_stream(probed: Probed, sort: str, codec: str, line: str) -> None:
    if sort == "Audio":
        probed.audio = probed.audio or codec
    elif probed.video is None:
        probed.video = codec
        if size := _SIZE.search(line):
            probed.width, probed.height = int(size[1]), int(size[2])
