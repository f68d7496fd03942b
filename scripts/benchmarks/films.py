"""A film in pieces, against one ffmpeg with all threads and against one encoder with a single thread."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Final

from benchmarks.report import Report
from benchmarks.stage import Broken, Stage
from heavyjobs import Client
from heavyjobs.jobs import ChunkedTranscode, Transcode
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.presets import PRESETS, encoding

FILM: Final = "HEAVYJOBS_BENCH_FILM"
"""Names a film to use instead of a made one; with keyframes some seconds apart."""
SECONDS: Final = 60
PIECE_SECONDS: Final = 15
SLOTS: Final = 2
DIRECT_MOST: Final = 1.05
SINGLE_LEAST: Final = 1.8
ROUNDS: Final = 3


async def measure(stage: Stage, report: Report) -> None:
    url, ffmpeg = await stage.database(), find_ffmpeg()
    film = Path(os.environ[FILM]) if FILM in os.environ else await _make_film(stage.folder / "film.mp4", ffmpeg)
    taken: dict[str, list[float]] = {}
    out = stage.folder / "out.mp4"
    async with stage.coordinator(url, slots=SLOTS, kinds=["heavyjobs.jobs"]), Client.open(url) as client:
        for _ in range(1 if stage.quick else ROUNDS):
            for what, decode in (("in pieces", True), ("in pieces, not decoded again", False)):
                job = ChunkedTranscode(
                    source=str(film), target=str(out), piece_seconds=PIECE_SECONDS, decode=decode, overwrite=True
                )
                began = time.monotonic()
                made = await (await client.submit(job)).result()
                taken.setdefault(what, []).append(time.monotonic() - began)
                if made.whole_because:
                    raise Broken(f"{film} is not cut: {made.whole_because}")
            began = time.monotonic()
            await (await client.submit(Transcode(source=str(film), target=str(out), overwrite=True))).result()
            taken.setdefault("media.transcode", []).append(time.monotonic() - began)
            taken.setdefault("one ffmpeg", []).append(await _ffmpeg(ffmpeg, film, out, threads=0))
            taken.setdefault("one thread", []).append(await _ffmpeg(ffmpeg, film, out, threads=1))
    _tell(report, {what: statistics.median(seconds) for what, seconds in taken.items()}, taken)


def _tell(report: Report, middle: dict[str, float], taken: dict[str, list[float]]) -> None:
    for what, seconds in taken.items():
        report.note(what, f"{middle[what]:.1f} s ({', '.join(f'{one:.1f}' for one in seconds)})")
    report.at_most("a film in pieces : one ffmpeg with all threads", middle["in pieces"] / middle["one ffmpeg"], DIRECT_MOST)
    bare = middle["in pieces, not decoded again"] / middle["one ffmpeg"]
    report.at_most("the same, when the outcome is not decoded again", bare, DIRECT_MOST)
    report.at_least(
        "one encoder with a single thread : a film in pieces", middle["one thread"] / middle["in pieces"], SINGLE_LEAST
    )


async def _ffmpeg(ffmpeg: str, film: Path, out: Path, *, threads: int) -> float:
    """How long ffmpeg alone takes for the same; 0 threads are as many as it likes."""
    *start, option, name = reading(ffmpeg, film)
    many = ["-threads", str(threads)]
    filters = ["-filter_threads", str(threads)] if threads else []
    made = encoding(PRESETS["mp4-h264-aac"], height=None, crf=None, audio_kbps=None)
    argv = [*start, "-v", "error", *filters, *many, option, name, *made, *many, "-y", f"file:{out}"]
    began = time.monotonic()
    await _run(argv)
    return time.monotonic() - began


async def _make_film(path: Path, ffmpeg: str) -> Path:
    """Something that moves, with grain, a keyframe every two seconds, and sound."""
    picture = f"testsrc2=size=1280x720:rate=25:duration={SECONDS},noise=alls=12:allf=t"
    lavfi = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={SECONDS}"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-g", "50", "-c:a", "aac"]
    await _run([ffmpeg, "-v", "error", "-nostdin", *lavfi, *encoder, "-y", str(path)])
    return path


async def _run(argv: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv)
    if code := await process.wait():
        raise Broken(f"ffmpeg exited with {code}: {argv}")
