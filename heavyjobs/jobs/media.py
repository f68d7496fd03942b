"""ffmpeg as a program that reads hostile files: where it is, and how it is called.

A playlist may name other files, so formats are limited as well as protocols: with `-protocol_whitelist file` alone, a playlist
that was called .mp4 read a neighbour's file. `file:` keeps a name from being an option, a URL or a pattern.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from heavyjobs.jobs.facts import Caps
from heavyjobs.jobs.trouble import NotInstalled, stop

FORMATS: Final = (
    "aac,ac3,aiff,asf,avi,caf,eac3,flac,flv,h264,hevc,ivf,matroska,mov,mp3,mpeg,mpegts,mxf,nut,obu,ogg,rm,wav,yuv4mpegpipe"
)
"""Containers that hold their own data; none that only names other files (hls, dash, concat, image2, …)."""


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
