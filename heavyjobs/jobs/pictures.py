"""Single pictures of a film, and sheets of many: raw pixels on the way, so that each picture is known to be whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.media import reading
from heavyjobs.jobs.pulse import Pulse

ImageName: TypeAlias = Literal["jpeg", "webp", "png"]

CHANNELS: Final = 3
WIDEST: Final = 16384
"""Of a picture whose pixels are not square, before it is made smaller."""
UNINDEXED: Final[Mapping[str, float]] = {"mpegts": 10.0, "mpeg": 10.0}
"""Containers without an index, in which ffmpeg may land on a later key frame than asked for: how much sooner to begin."""
_QUIET: Final = ("-nostats", "-loglevel", "error")


@dataclass(frozen=True, slots=True)
class Image:
    """How one kind of picture file is written."""

    suffix: str
    encoder: tuple[str, ...]


IMAGES: Final[Mapping[ImageName, Image]] = {
    "jpeg": Image(".jpg", ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p")),
    "webp": Image(".webp", ("-c:v", "libwebp", "-quality", "80")),
    "png": Image(".png", ("-c:v", "png")),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels, three bytes each, from the upper left."""

    width: int
    height: int
    pixels: bytes


class Camera:
    """Takes pictures of one film.

    Args:
        container: of the film, by ffmpeg's name. work: a folder for scratch files. where: names the film in errors.
        stall_seconds: how long an ffmpeg may do nothing.
    """

    def __init__(
        self,
        ctx: Context[Any, Any],
        ffmpeg: str,
        film: Path,
        *,
        container: str,
        work: Path,
        where: str,
        stall_seconds: float,
    ) -> None:
        self._early_seconds: Final = UNINDEXED.get(container, 0.0)
        self._ctx: Final = ctx
        self._ffmpeg: Final = ffmpeg
        self._film: Final = film
        self._work: Final = work
        self._where: Final = where
        self._stall_seconds: Final = stall_seconds

    def picture(self, seconds: float, *, side: int) -> Picture | None:
        """What is seen at that time, turned upright, its longer side at most so many pixels; never made larger.

        None where there is nothing to be seen: after the end, or what is there cannot be decoded.
        """
        return self._take(seconds, _within(side))

    def tile(self, seconds: float, *, width: int, height: int) -> Picture | None:
        """The same in exactly this size."""
        return self._take(seconds, f"scale={width}:{height},setsar=1")

    def _take(self, seconds: float, scaled: str) -> Picture | None:
        path = self._work / "picture.ppm"
        begin = max(seconds - self._early_seconds, 0.0)
        # From the key frame before; `fps` then drops all that are over by the time, and keeps the one that is still seen.
        options = ["-noaccurate_seek", "-ss", f"{begin:.3f}"]
        start = reading(self._ffmpeg, self._film, options=options)
        seen = f"fps=1000:start_time={seconds - begin:.3f}:round=up,{scaled}"
        chosen = ["-map", "0:V:0", "-frames:v", "1", "-an", "-sn", "-dn", "-vf", seen]
        try:
            self._run([*start, *_QUIET, *chosen, "-c:v", "ppm", "-f", "image2pipe", "-y", f"file:{path}"])
        except ProgramFailed as failed:  # it gives up: no picture
            if failed.code is None:
                raise
        return read_ppm(path.read_bytes()) if path.is_file() else None

    def sheet(self, pictures: Sequence[Picture], target: Path, *, columns: int, image: ImageName) -> tuple[int, int]:
        """Write pictures of one size side by side, in rows from the upper left; give width and height of it all."""
        columns = min(columns, len(pictures))
        rows = -(-len(pictures) // columns)
        width, height = pictures[0].width, pictures[0].height
        raw = self._work / "pictures.rgb"
        with raw.open("wb") as file:
            file.writelines(picture.pixels for picture in pictures)
        sort = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}", "-framerate", "1"]
        start = [self._ffmpeg, "-hide_banner", "-nostdin", *_QUIET, "-protocol_whitelist", "file", *sort, "-i", f"file:{raw}"]
        end = ["-vf", f"tile={columns}x{rows}", "-frames:v", "1", *IMAGES[image].encoder, "-f", "image2pipe"]
        self._run([*start, *end, "-y", f"file:{target}"])
        return width * columns, height * rows

    def _run(self, argv: list[str]) -> None:
        pulse = Pulse(where=self._where, stall_seconds=self._stall_seconds)
        with self._ctx.program(argv, watch=pulse.look) as lines:
            for _ in lines:
                pass


def read_ppm(data: bytes) -> Picture | None:
    """Read the format that is three lines of text and then raw pixels; None when it is not whole."""
    kind, size, depth, pixels = [*data.split(b"\n", 3), b"", b"", b""][:4]
    if kind != b"P6" or depth != b"255":
        return None
    width, height = (int(number) for number in size.split())
    return Picture(width, height, pixels) if len(pixels) == width * height * CHANNELS else None


def _within(side: int) -> str:
    """A filter that makes pixels square, and then fits the picture into a square."""
    square = f"scale='min(trunc(iw*sar/2)*2\\,{WIDEST})':ih,setsar=1"
    return f"{square},scale='min({side}\\,iw)':'min({side}\\,ih)':force_original_aspect_ratio=decrease"
