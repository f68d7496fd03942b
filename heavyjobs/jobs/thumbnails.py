"""`media.thumbnails`: a poster of a film, and sheets of small pictures for a player's preview."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.examine import examine
from heavyjobs.jobs.facts import Facts
from heavyjobs.jobs.media import find_ffmpeg
from heavyjobs.jobs.pictures import IMAGES, Camera, ImageName, Picture
from heavyjobs.jobs.places import source_file, target_path, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.sprites import COLUMNS, SHEET_TILES, TILES_MAX, Tile, tiles, usual_interval, web_vtt
from heavyjobs.jobs.trouble import Refused, Trouble, Unreadable, shown, stop, typed
from heavyjobs.jobs.watchdog import STALL_SECONDS, StallSeconds
from heavyjobs.locations import Place

VTT: Final = "tiles.vtt"


class PictureFile(BaseModel):
    """A picture that was written; `width` and `height` in pixels."""

    name: str
    width: int
    height: int
    bytes: int
    sha256: str


class Thumbnails(BaseModel):
    """What was made.

    Attributes:
        target: as the parameters say it. path: where that folder is on the host that wrote it.
        poster: shows the film at `poster_seconds`.
        sheets: of small pictures, in the order of the film. vtt: the file that says where each is.
        tiles: how many of them, `every_seconds` apart. missing: those that could not be decoded, and show the one before.
        tile_width, tile_height: in pixels.
        vtt_sha256: of that file.
    """

    target: str
    path: str
    poster: PictureFile
    poster_seconds: float
    sheets: list[PictureFile]
    vtt: str
    vtt_sha256: str
    tiles: int
    missing: int
    every_seconds: float
    tile_width: int
    tile_height: int


class MakeThumbnails(Job[Thumbnails, Progress, Trouble], kind="media.thumbnails"):
    """Make a folder with a poster, sheets of small pictures, and the WebVTT file by which a player finds them.

    Sides are the longer side of a picture in pixels; none is made larger than the film. Without `poster_at` the poster shows
    the film after a tenth of it; without `every` there are about a hundred small pictures. Times are in seconds. The names in
    the folder are `poster.jpg`, `tiles-1.jpg` and so on (or `.webp`, `.png`), and `tiles.vtt`.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, no video, no duration, nothing that can be decoded there | `Unreadable` | no |
    | a place that is not open to jobs, more pixels or seconds than any film has, more than 2000 pictures | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no such folder for it, a name that is too long | `TargetUnusable` | no |
    | some small pictures cannot be decoded | the one before is shown, counted in `missing` | |
    | neither ffmpeg nor what reads media files here | `NotInstalled` | yes |
    | ffmpeg does nothing for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes, the disk is full | `ProgramFailed` | yes |
    """

    source: Place
    target: Place
    poster_at: Annotated[float, Field(ge=0)] | None = None
    poster_side: Annotated[int, Field(ge=16, le=3840)] = 1280
    every: Annotated[float, Field(ge=0.1)] | None = None
    tile_side: Annotated[int, Field(ge=16, le=640)] = 160
    image: ImageName = "jpeg"
    stall_max_seconds: StallSeconds = STALL_SECONDS
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Thumbnails:
        with typed(ctx, target=self.target):
            source = source_file(ctx.locations, self.source, instead="name a file in it")
            target = target_path(ctx.locations, self.target, overwrite=self.overwrite, folder=True)
            with ctx.output(self.target, replace=self.overwrite) as out, unchanging(source, where=self.source):
                facts = examine(ctx, source, where=self.source)
                seconds = self._seconds(facts)
                every = self.every or usual_interval(seconds)
                self._check_count(seconds, every)
                out.path.mkdir()
                camera = self._camera(ctx, source, facts)
                made = self._make(camera, Meter(ctx.report), out.path, path=target, seconds=seconds, every=every)
            logger.info("wrote {}: a poster and {} small pictures", shown(self.target), made.tiles)
            return made

    def _camera(self, ctx: Context[Progress, Trouble], source: Path, facts: Facts) -> Camera:
        return Camera(
            ctx,
            find_ffmpeg(),
            source,
            container=facts.container,
            work=ctx.workspace,
            where=self.source,
            stall_seconds=self.stall_max_seconds,
        )

    def _seconds(self, facts: Facts) -> float:
        """How long the film is that pictures are taken of."""
        if facts.film is None:
            stop(Unreadable, "has no video stream", where=self.source, would_do="use a file with a film in it")
        seconds = facts.film.duration_seconds or facts.duration_seconds
        if not seconds:
            stop(Unreadable, "does not say how long it is", where=self.source, would_do="use media.transcode first")
        return seconds

    def _check_count(self, seconds: float, every: float) -> None:
        if seconds / every > TILES_MAX:
            least = seconds / TILES_MAX
            what = f"would need {seconds / every:,.0f} small pictures, more than {TILES_MAX}"
            stop(Refused, what, where=self.source, would_do=f"let `every` be {least:.1f} s or more")

    def _make(self, camera: Camera, meter: Meter, folder: Path, *, path: Path, seconds: float, every: float) -> Thumbnails:
        at = seconds / 10 if self.poster_at is None else self.poster_at
        meter.start("taking the poster", total=1, unit="frames")
        poster = camera.picture(at, side=self.poster_side)
        small = None if poster is None else camera.picture(at, side=self.tile_side)
        if poster is None or small is None:
            what = f"shows nothing at {at:.2f} s of {seconds:.2f} s"
            stop(Unreadable, what, where=self.source, would_do="use another `poster_at`, and check that the file is whole")
        cover = _write(camera, [poster], folder / f"poster{self._suffix}", image=self.image)
        shots = _Shots(camera, tiles(seconds, every=every), before=small, meter=meter)
        sheets = [
            _write(camera, sheet, folder / f"tiles-{number}{self._suffix}", image=self.image)
            for number, sheet in enumerate(shots.sheets(), 1)
        ]
        names = [sheet.name for sheet in sheets]
        vtt = web_vtt(shots.tiles, sheets=names, width=small.width, height=small.height).encode()
        (folder / VTT).write_bytes(vtt)
        meter.end()
        return Thumbnails(
            target=self.target,
            path=str(path),
            poster=cover,
            poster_seconds=at,
            sheets=sheets,
            vtt=VTT,
            vtt_sha256=hashlib.sha256(vtt).hexdigest(),
            tiles=len(shots.tiles),
            missing=shots.missing,
            every_seconds=every,
            tile_width=small.width,
            tile_height=small.height,
        )

    @property
    def _suffix(self) -> str:
        return IMAGES[self.image].suffix


class _Shots:
    """Takes the small pictures, a sheet's worth at a time.

    Args:
        before: stands for the first ones, should they be missing, and gives the size of all.
    """

    def __init__(self, camera: Camera, tiles: Sequence[Tile], *, before: Picture, meter: Meter) -> None:
        self._camera: Final = camera
        self._meter: Final = meter
        self._before = before
        self.tiles: Final = tiles
        self.missing = 0

    def sheets(self) -> Iterator[list[Picture]]:
        self._meter.start("taking small pictures", total=len(self.tiles), unit="frames")
        for first in range(0, len(self.tiles), SHEET_TILES):
            yield [self._shot(tile) for tile in self.tiles[first : first + SHEET_TILES]]

    def _shot(self, tile: Tile) -> Picture:
        taken = self._camera.tile(tile.shown, width=self._before.width, height=self._before.height)
        if taken is None:
            self.missing += 1
            logger.warning("nothing can be seen at {:.2f} s: the picture before stands for it", tile.shown)
        self._before = taken or self._before
        self._meter.add(1)
        return self._before


def _write(camera: Camera, pictures: Sequence[Picture], target: Path, *, image: ImageName) -> PictureFile:
    width, height = camera.sheet(pictures, target, columns=COLUMNS, image=image)
    data = target.read_bytes()
    return PictureFile(name=target.name, width=width, height=height, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
