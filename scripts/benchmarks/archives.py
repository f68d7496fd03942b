"""Archives, beside the programs that people use for the same: thousands of small files, and one large stream.

Each round does all of them one after the other, so that what the machine does beside meets all alike; figures are medians.
What the programs write is synced as the jobs' outputs are. Checkpoints, digests, progress, logs and the bill are in the jobs'
figures.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import shutil
import statistics
import sysconfig
import tarfile
import time
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report
from benchmarks.stage import Broken, Stage
from heavyjobs import Client
from heavyjobs.jobs import Convert, Extract, Pack
from heavyjobs.jobs.streams import Codec, Gunzip, gzip_codec

FILES: Final = 10_000
LARGE_BYTES: Final = 400 << 20
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 3
READ_BYTES: Final = 128 << 10

Action = Callable[[], Awaitable[object]]


async def measure(stage: Stage, report: Report) -> None:
    url = await stage.database()
    modules = ("benchmarks.jobs", "heavyjobs.jobs")
    async with Client.open(url) as client, stage.coordinator(url, modules=modules):
        await _small_files(stage, report, client)
        await _converted(stage, report, client)
        await _large_stream(stage, report, client)


def _rounds(stage: Stage) -> int:
    return ROUNDS_QUICK if stage.quick else ROUNDS


async def _small_files(stage: Stage, report: Report, client: Client) -> None:
    folder = await asyncio.to_thread(_real_files, stage.folder / "files")
    for form, command in {
        "tar": "mkdir {out} && tar -xf {archive} -C {out}",
        "tar.gz": "mkdir {out} && tar -xf {archive} -C {out}",
        "zip": "unzip -q {archive} -d {out}",
    }.items():
        archive, out = stage.folder / f"files.{form}", stage.folder / "out"
        await _job(client, Pack(source=str(folder), target=str(archive)))
        program = command.format(archive=archive, out=out) + f" && sync -f {out}"
        await _compare(
            report,
            f"extract {FILES:,} files of a {form}",
            _rounds(stage),
            {
                "job": partial(_job, client, Extract(source=str(archive), target=str(out))),
                program.split("&&")[-2].split()[0]: partial(_shell, program),
            },
            undo=partial(shutil.rmtree, out),
            most=1.2,
        )


async def _converted(stage: Stage, report: Report, client: Client) -> None:
    """The small files once more, from one format to another."""
    archive, target, aside = stage.folder / "files.zip", stage.folder / "files.tar.zst", stage.folder / "aside"
    program = f"mkdir {aside} && unzip -q {archive} -d {aside} && tar --zstd -cf {target} -C {aside} . && rm -r {aside}"
    if has_bsdtar := shutil.which("bsdtar"):
        program = f"bsdtar --zstd -cf {target} @{archive}"
    await _compare(
        report,
        f"zip to tar.zst, {FILES:,} files",
        _rounds(stage),
        {
            "job": lambda: _job(client, Convert(source=str(archive), target=str(target))),
            "bsdtar" if has_bsdtar else "unzip, tar": partial(_shell, f"{program} && sync -f {target}"),
        },
        undo=target.unlink,
        most=1.2,
    )


async def _large_stream(stage: Stage, report: Report, client: Client) -> None:
    tar, source, target = stage.folder / "large.tar", stage.folder / "large.tar.gz", stage.folder / "large.tar.zst"
    reader = "pigz" if shutil.which("pigz") else "gzip"
    await asyncio.to_thread(_large_tar, tar)
    await _shell(f"{reader} {tar}")
    await _compare(
        report,
        "tar.gz to tar.zst, 400 MB",
        _rounds(stage),
        {
            "job": lambda: _job(client, Convert(source=str(source), target=str(target))),
            f"{reader} -dc | zstd -T0": lambda: _shell(f"{reader} -dc {source} | zstd -qT0 -o {target} && sync -f {target}"),
        },
        undo=target.unlink,
        most=0.7,
    )
    codecs = {"zlib": Codec(Gunzip, zlib.error)}
    if importlib.util.find_spec("isal"):
        codecs = {"ISA-L": gzip_codec(), **codecs}
    ways: dict[str, Action] = {name: partial(asyncio.to_thread, _inflate, source, codec) for name, codec in codecs.items()}
    await _compare(report, "read gzip, 400 MB", _rounds(stage), ways, undo=lambda: None, most=1 / 2)


async def _compare(
    report: Report, what: str, rounds: int, ways: Mapping[str, Action], *, undo: Callable[[], object], most: float
) -> None:
    """Time each way in turn; the first is held against the last."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.monotonic()
            await way()
            seconds[name].append(time.monotonic() - began)
            await asyncio.to_thread(undo)
    for name, values in seconds.items():
        report.note(f"{what}: {name}", f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
    first, last = (statistics.median(seconds[name]) for name in (next(iter(ways)), [*ways][-1]))
    report.at_most(f"{what}: × {[*ways][-1]}", first / last, most)


async def _job(client: Client, job: Any) -> None:
    await (await client.submit(job)).result()


async def _shell(command: str) -> None:
    process = await asyncio.create_subprocess_shell(command)
    if await process.wait():
        raise Broken(f"{command}: exit code {process.returncode}")


def _inflate(source: Path, codec: Codec) -> None:
    """Read to the end, for which one member is enough."""
    decoder = codec.new()
    with source.open("rb") as file:
        while not decoder.eof:
            decoder.decompress(file.read(READ_BYTES) if decoder.needs_input else b"", 1 << 20)


def _real_files(folder: Path) -> Path:
    """So many files, those of this Python's library again and again."""
    if folder.exists():
        return folder
    library = Path(sysconfig.get_path("stdlib"))
    real = [path for path in sorted(library.rglob("*")) if path.is_file() and path.stat().st_size < 1 << 20]
    for number in range(FILES):
        path = real[number % len(real)]
        target = folder / str(number // len(real)) / path.relative_to(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def _large_tar(tar: Path) -> None:
    """The files of this Python and its packages, from the first again where they do not suffice, up to the size."""
    library = Path(sysconfig.get_path("stdlib"))
    folders = {library, Path(sysconfig.get_path("purelib"))}
    real = sorted({path for folder in folders for path in folder.rglob("*") if path.is_file()})
    with tarfile.open(tar, "w") as opened:
        for number in itertools.count():
            for path in real:
                opened.add(path, f"{number}{path}")
                if opened.offset >= LARGE_BYTES:
                    return
