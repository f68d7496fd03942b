"""A film in pieces, against one ffmpeg with all threads and against one encoder with a single thread."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.report import Report
from benchmarks.stage import Broken, Stage
from heavyjobs import Client, Handle
from heavyjobs.jobs import ChunkedTranscode, Transcode
from heavyjobs.jobs.chunked import ChunkedTranscoded
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.presets import PRESETS, encoding

FILM: Final = "HEAVYJOBS_BENCH_FILM"
"""Names a film to use instead of a made one; with keyframes some seconds apart."""
SECONDS: Final = 60
QUICK_SECONDS: Final = 16
PIECES_COUNT: Final = 4
SLOTS: Final = 2
DIRECT_MOST: Final = 1.05
WHOLE_MOST: Final = 1.03
SINGLE_LEAST: Final = 1.8
ROUNDS: Final = 3

PIECES: Final = "in pieces"
UNDECODED: Final = "in pieces, not decoded again"
WHOLE: Final = "media.transcode"
DIRECT: Final = "one ffmpeg, all threads"
SINGLE: Final = "one ffmpeg, one thread"


class Taken(NamedTuple):
    """What one run took; on a busy machine the processors' time says more than the clock's."""

    wall: float
    cpu: float


async def measure(stage: Stage, report: Report) -> None:
    url, ffmpeg = await stage.database(), find_ffmpeg()
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    film = Path(os.environ[FILM]) if FILM in os.environ else await _make_film(stage.folder / "film.mp4", ffmpeg, seconds)
    out = stage.folder / "out.mp4"
    places: dict[str, Any] = {"source": str(film), "target": str(out), "overwrite": True}
    taken: dict[str, list[Taken]] = {}

    def note(what: str, one: Taken) -> None:
        taken.setdefault(what, []).append(one)
        report.tell(what, f"{one.wall:.1f} s, CPU {one.cpu:.1f} s")

    async with stage.coordinator(url, slots=SLOTS, modules=("benchmarks.jobs", "heavyjobs.jobs")), Client.open(url) as client:
        for _ in range(1 if stage.quick else ROUNDS):
            for what, decode in ((PIECES, True), (UNDECODED, False)):
                job = ChunkedTranscode(piece_seconds=seconds / PIECES_COUNT, decode=decode, **places)
                note(what, await _family(client, job))
            note(WHOLE, await _family(client, Transcode(**places)))
            note(DIRECT, await _ffmpeg(ffmpeg, film, out, threads=0))
            note(SINGLE, await _ffmpeg(ffmpeg, film, out, threads=1))
    _tell(report, taken)


def _tell(report: Report, taken: dict[str, list[Taken]]) -> None:
    wall = {what: statistics.median(one.wall for one in runs) for what, runs in taken.items()}
    cpu = {what: statistics.median(one.cpu for one in runs) for what, runs in taken.items()}
    for what, runs in taken.items():
        report.note(what, f"{wall[what]:.1f} s ({', '.join(f'{one.wall:.1f}' for one in runs)}), CPU {cpu[what]:.1f} s")
    for what, most in ((PIECES, DIRECT_MOST), (UNDECODED, DIRECT_MOST), (WHOLE, WHOLE_MOST)):
        remark = f"CPU {cpu[what] / cpu[DIRECT]:.2f}"
        report.at_most(f"{what} : {DIRECT}", wall[what] / wall[DIRECT], most, remark=remark)
    report.at_least(f"{SINGLE} : {PIECES}", wall[SINGLE] / wall[PIECES], SINGLE_LEAST)
    report.at_least(f"{SINGLE} : {UNDECODED}", wall[SINGLE] / wall[UNDECODED], SINGLE_LEAST)


async def _family(client: Client, job: ChunkedTranscode | Transcode) -> Taken:
    """Have a job done, and add up what it and its children are billed."""
    began = time.monotonic()
    handle: Handle[Any, Any, Any] = await client.submit(job)
    made = await handle.result()
    wall = time.monotonic() - began
    if isinstance(made, ChunkedTranscoded) and made.whole_because:
        raise Broken(f"{job.source} is not cut: {made.whole_because}")
    ids = [handle.id, *(child.id for child in await client.list(parent=handle.id))]
    bills = [one.bill for each in ids for one in await client.invocations(each)]
    return Taken(wall, sum(bill.cpu_seconds for bill in bills))


async def _ffmpeg(ffmpeg: str, film: Path, out: Path, *, threads: int) -> Taken:
    """What ffmpeg alone takes for the same; 0 threads are as many as it likes."""
    *start, option, name = reading(ffmpeg, film)
    many = ["-threads", str(threads)]
    filters = ["-filter_threads", str(threads)] if threads else []
    made = encoding(PRESETS["mp4-h264-aac"], height=None, crf=None, audio_kbps=None)
    argv = [*start, "-v", "error", *filters, *many, option, name, *made, *many, "-y", f"file:{out}"]
    began, before = time.monotonic(), _children_cpu()
    await _run(argv)
    return Taken(time.monotonic() - began, _children_cpu() - before)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _make_film(path: Path, ffmpeg: str, seconds: float) -> Path:
    """Something that moves, with grain, a keyframe every two seconds, and sound."""
    picture = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=12:allf=t"
    lavfi = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={seconds}"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-g", "50", "-c:a", "aac"]
    await _run([ffmpeg, "-v", "error", "-nostdin", *lavfi, *encoder, "-y", str(path)])
    return path


async def _run(argv: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv)
    if code := await process.wait():
        raise Broken(f"ffmpeg exited with {code}: {argv}")
