"""The main job, end to end: a coordinator, four real jobs, their progress and logs as they come, and a check of every output.

Called by `scripts/demo`. Exits 0 only if all outputs were checked by other means than those that made them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from heavyjobs import Client, Handle, HeavyjobsError, Job, LogLine, Reported
from heavyjobs.jobs.archive import Convert, Pack
from heavyjobs.jobs.copy import Copy
from heavyjobs.jobs.media import find_ffmpeg
from heavyjobs.jobs.transcode import Transcode
from heavyjobs.model import InvocationRecord, short_id
from heavyjobs.units import show_bytes, show_seconds

R = TypeVar("R")
CHECKOUT = Path(__file__).resolve().parent.parent
console = Console(highlight=False)


class CheckFailed(Exception):
    """An output is not what the job said."""


@dataclass(frozen=True)
class Stage:
    """Where the demo works."""

    folder: Path
    client: Client
    bars: Progress

    async def run(self, job: Job[R, Any, Any], check: str) -> R:
        """Submit a job, show it while it runs, print what came of it; its result."""
        handle = await self.client.submit(job)
        await self._show(handle, job.kind)
        result = await handle.result()
        invocation = (await self.client.invocations(handle.id))[-1]
        self.bars.print(_report(handle, result, invocation), soft_wrap=True)
        self.bars.print(f"  [dim]checking that[/] {check}", soft_wrap=True)
        return result

    async def _show(self, handle: Handle[Any, Any, Any], kind: str) -> None:
        bar = self.bars.add_task(kind, total=None, rate="", left="")
        async for update in handle.watch():
            match update:
                case Reported(status):
                    self.bars.update(bar, total=status.total, completed=status.done, rate=_rate(status), left=_left(status))
                case LogLine():
                    self.bars.print(f"[dim]{short_id(handle.id)}  {kind:<15}[/] {escape(update.text)}", soft_wrap=True)
                case _:
                    pass
        self.bars.update(bar, visible=False)


def main() -> None:
    options = argparse.ArgumentParser(prog="scripts/demo", description="Four heavy jobs on SQLite, checked.")
    options.add_argument("folder", nargs="?", type=Path, default=CHECKOUT, help="to be packed; by default this checkout")
    options.add_argument("video", nargs="?", type=Path, help="to be transcoded; by default a clip that ffmpeg generates")
    given = options.parse_args()
    for path in (given.folder, given.video):
        if path is not None and not path.exists():
            options.error(f"{path}: there is no such file or folder")
    folder = make_place()
    try:
        asyncio.run(demo(folder, given.folder.resolve(), given.video and given.video.resolve()))
    except (CheckFailed, HeavyjobsError, BaseExceptionGroup) as failed:
        if others := [error for error in leaves(failed) if not isinstance(error, CheckFailed | HeavyjobsError)]:
            raise others[0] from None
        sys.exit("\n".join(f"demo: {error}" for error in leaves(failed)) + f"\nall that there is of it lies in {folder}")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, however deep; or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


async def demo(folder: Path, source: Path, video: Path | None) -> None:
    console.print(f"working in {folder}\n")
    clip = await asyncio.to_thread(make_clip, folder) if video is None else video
    async with (
        coordinator(folder),
        Client.open(f"sqlite:///{folder}/jobs.db") as client,
    ):
        columns = (
            SpinnerColumn(), TextColumn("{task.description:<15}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]:>14}"), TextColumn("{task.fields[left]}"),
        )  # fmt: skip
        with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
            stage = Stage(folder, client, bars)
            async with asyncio.TaskGroup() as both:
                both.create_task(archives(stage, source))
                both.create_task(transcode(stage, clip))
    console.print(
        f"\n[green]all outputs were checked[/]; they are in {folder}, with the jobs and their logs in jobs.db;\n"
        "remove it when you have seen enough:",
        soft_wrap=True,
    )
    console.print(f"  cd {folder} && {Path(sys.executable).parent / 'heavyjobs'} list", soft_wrap=True)


def make_place() -> Path:
    """A folder to work in, with a configuration for the coordinator."""
    folder = Path(tempfile.mkdtemp(prefix="heavyjobs-demo-"))
    (folder / "second").mkdir()
    (folder / "heavyjobs.toml").write_text('database.url = "sqlite:///jobs.db"\nqueues.default.slots = 2\n', "utf-8")
    return folder


async def archives(stage: Stage, source: Path) -> None:
    """Pack, convert, copy: each checked against the files that went in."""
    exclude = [".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"]
    packed, zipped = stage.folder / f"{source.name}.tar.zst", stage.folder / f"{source.name}.zip"
    copy = stage.folder / "second" / zipped.name
    pack = Pack(source=str(source), target=str(packed), exclude=exclude)
    archived = await stage.run(pack, "every file in the archive has the digest of the file on disk")
    digests = await asyncio.to_thread(check_packed, packed, source, archived.files)
    await stage.run(Convert(source=str(packed), target=str(zipped)), "the zip holds the same files")
    agree("the files of the zip", await asyncio.to_thread(digests_of_zip, zipped), digests)
    copied = await stage.run(Copy(source=str(zipped), target=str(copy)), "the copy is the same")
    agree("the digest of the copy", await asyncio.to_thread(digest_of, copy), copied.sha256)
    agree("the digest of its source", await asyncio.to_thread(digest_of, zipped), copied.sha256)


async def transcode(stage: Stage, video: Path) -> None:
    """Transcode, and decode all of what came out."""
    job = Transcode(source=str(video), target=str(stage.folder / f"{video.stem}-transcoded.mp4"))
    made = await stage.run(job, "the video decodes to its whole duration")
    before = await asyncio.to_thread(decoded_seconds, video)
    after = await asyncio.to_thread(decoded_seconds, Path(made.path))
    if abs(before - after) > 0.2:
        raise CheckFailed(f"{made.path} decodes to {after:.2f} s, its source to {before:.2f} s")


@asynccontextmanager
async def coordinator(folder: Path) -> AsyncIterator[None]:
    """The daemon, as an operator starts it; drained at the end."""
    with (folder / "coordinator.log").open("wb") as log:
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-m", "heavyjobs", "run", cwd=folder, stderr=log)
        try:
            yield
        finally:
            daemon.terminate()
            if code := await daemon.wait():
                console.print(f"[red]the coordinator ended with code {code}[/]; see {log.name}")


def _rate(status: Any) -> str:
    if not status.rate:
        return ""
    match status.unit:
        case "bytes":
            return f"{show_bytes(status.rate)}/s"
        case "seconds":
            return f"{status.rate:.1f} × real time"
        case unit:
            return f"{status.rate:.1f} {unit}/s"


def _left(status: Any) -> str:
    return f"{show_seconds(status.left_seconds)} left" if status.left_seconds else ""


def _report(handle: Handle[Any, Any, Any], result: Any, invocation: InvocationRecord) -> str:
    bill = invocation.bill
    figures = (
        f"{show_seconds(bill.wall_seconds)}, CPU {show_seconds(bill.cpu_seconds)}, peak {show_bytes(bill.memory_peak_bytes)}, "
        f"read {show_bytes(bill.read_bytes)}, written {show_bytes(bill.written_bytes)}"
    )
    fields = "\n".join(f"    {name:<18} {escape(str(value))}" for name, value in result.model_dump().items())
    return f"[green]{short_id(handle.id)}  {handle.kind}  {invocation.ending}[/]   ({figures})\n{fields}"


# -- checks, by other means than the jobs' own


def agree(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CheckFailed(f"{what}: found {found!r:.300}, expected {expected!r:.300}")


def check_packed(archive: Path, source: Path, files: int) -> Mapping[str, str]:
    """The digests of the files in the archive, which are those of the files on disk."""
    digests = digests_of_tar(archive)
    agree("the number of files in the archive", len(digests), files)
    for name, digest in digests.items():
        agree(name, digest_of(source.parent / name), digest)
    return digests


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_of_tar(path: Path) -> Mapping[str, str]:
    """By name, of every file in a tar.zst."""
    from heavyjobs.jobs.streams import zstd

    with zstd().open(path, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        return {
            member.name: hashlib.sha256(file.read()).hexdigest()
            for member in archive
            if member.isfile() and (file := archive.extractfile(member))
        }


def digests_of_zip(path: Path) -> Mapping[str, str]:
    with zipfile.ZipFile(path) as archive:
        links = 0o120000
        return {
            member.filename: hashlib.sha256(archive.read(member)).hexdigest()
            for member in archive.infolist()
            if not member.is_dir() and (member.external_attr >> 16) & 0o170000 != links
        }


def make_clip(folder: Path) -> Path:
    """Eight seconds of moving picture and sound."""
    path = folder / "clip.mp4"
    picture, sound = "testsrc2=duration=8:size=960x540:rate=25", "sine=frequency=440:duration=8"
    _ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-shortest", "-preset", "ultrafast", str(path))
    return path


def decoded_seconds(path: Path) -> float:
    """How long a video plays, by decoding all of it."""
    said = _ffmpeg("-i", str(path), "-f", "null", "-")
    hours, minutes, seconds = re.findall(r"time=(\d+):(\d+):([\d.]+)", said)[-1]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _ffmpeg(*arguments: str) -> str:
    command = [str(find_ffmpeg()), "-nostdin", "-hide_banner", "-xerror", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CheckFailed(f"{' '.join(command)}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return done.stderr


if __name__ == "__main__":
    main()
