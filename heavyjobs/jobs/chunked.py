"""`media.chunked_transcode`: one film, cut into pieces that all hosts transcode at the same time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.children import Child
from heavyjobs.jobs.children import Ctx, alone, share, together
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.film_jobs import FilmJob, check_name
from heavyjobs.jobs.joining import Join, Joined
from heavyjobs.jobs.pieces import Part, Piece, Sound, Whole
from heavyjobs.jobs.places import source_file, target_path
from heavyjobs.jobs.presets import PRESETS
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.survey import Survey, Surveyed
from heavyjobs.jobs.transcode import Transcoded
from heavyjobs.jobs.trouble import Trouble, shown, typed
from heavyjobs.jobs.watchdog import output_bound
from heavyjobs.jobs.workshop import folder_beside, is_of, kept_while_useful, new_mark, sweep_others
from heavyjobs.units import show_bytes, show_seconds


class ChunkedTranscoded(Transcoded):
    """What was made.

    Attributes:
        pieces: that the picture was cut into; 1 when it was transcoded whole, and then `whole_because` says why.
    """

    pieces: int
    whole_because: str | None = None


class Kept(BaseModel):
    """What the next attempt goes on from.

    Attributes:
        mark: of the workshop, and of the keys of the children that work in it.
        made: set just before the film is published.
    """

    mark: str
    made: ChunkedTranscoded | None = None


class ChunkedTranscode(FilmJob[ChunkedTranscoded], kind="media.chunked_transcode"):
    """Transcode a film on all hosts at once: cut at keyframes, in pieces of near-equal length; its sound in one piece.

    Source and target have to be places that every host reaches under the same name: a location, or a path on a shared file
    system. Each piece reads only its range of the source. Until they are joined, pieces lie in a hidden folder beside the
    target; those that are done are not done again, whatever dies meanwhile. The joined film has every frame of the source, its
    times ascend, it is as long to within one frame, each piece was decoded to its end by the host that made it (`decode`, which
    costs time, can be switched off), and the joined film holds the very packets of the pieces.

    A film that cannot be cut is transcoded whole, by `media.whole`, and `whole_because` in the result says why: its frames
    have no times or share them, it is damaged, it has no keyframes to cut at, its pieces do not begin cleanly, its pictures
    change their size, or it is shorter than two pieces. Frames that come at a varying rate keep their times; a cut is only
    where decoding times still ascend. Tags of the source, like its title, are left out of a film that was cut.

    The status sums what all pieces have done, in seconds of the film. Children are in the queue of this job.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read, on any host | `SourceMissing` | no |
    | it changes meanwhile | `SourceChanged` | yes, from the start |
    | no media file, a playlist, no stream that the preset wants, one that ends before its time | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than any film has | `Refused` | no |
    | pictures or sound that the preset's encoder does not take, like sides beyond 16384 pixels | `Refused` | no |
    | an output larger than `output_max_bytes` | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | a name that does not fit the preset, no such folder | `TargetUnusable` | no |
    | the joined film is not as it must be | `OutputWrong` | yes |
    | a host has no ffmpeg, or one without the preset's encoders | `NotInstalled` | yes |
    | ffmpeg stands still for `stall_max_seconds` in all of a child's tries | `Stalled` | yes |
    | a piece dies in another way, after its own three tries | `JobDead`, with its cause | yes: the pieces that are not done |
    """

    piece_seconds: Annotated[float, Field(ge=1, le=86400)] = 60
    threads_per_piece: Annotated[int, Field(ge=1, le=64)] = 1
    decode: bool = True

    async def run(self, ctx: Ctx) -> ChunkedTranscoded:
        kept = ctx.resume(Kept)
        with typed(ctx, target=self.target):
            if kept is not None and kept.made is not None and await asyncio.to_thread(_is_published, kept.made):
                await asyncio.to_thread(sweep_others, Path(kept.made.path).parent, ctx.job_id, but=None)
                return kept.made
            mark, place = await self._workplace(ctx, kept)
            async with kept_while_useful(ctx, ctx.locations.path(place)):
                return await self._film(ctx, mark, place)

    async def _workplace(self, ctx: Ctx, kept: Kept | None) -> tuple[str, str]:
        """The mark and place of the workshop to go on in, or of a fresh one."""
        check_name(self.target, self.preset, suffixes=PRESETS[self.preset].suffixes, others=PRESETS)
        source_file(ctx.locations, self.source, instead="name a file in it")
        target = target_path(ctx.locations, self.target, overwrite=self.overwrite)
        mark = kept.mark if kept is not None and is_of(kept.mark, ctx.epoch) else None
        if mark is None or not ctx.locations.path(folder_beside(self.target, ctx.job_id, mark)).is_dir():
            mark = new_mark(ctx.epoch)
            await ctx.checkpoint(Kept(mark=mark))
        await asyncio.to_thread(sweep_others, target.parent, ctx.job_id, but=mark)
        return mark, folder_beside(self.target, ctx.job_id, mark)

    async def _film(self, ctx: Ctx, mark: str, place: str) -> ChunkedTranscoded:
        surveyed = await alone(ctx, self._survey(ctx), key=f"survey {mark}")
        because = surveyed.whole_because
        if because is None:
            parts, sound = await self._encode(ctx, mark, place, surveyed)
            because = unfit_because(parts)
            if because is None:
                joined = await alone(ctx, self._join(ctx, place, surveyed, parts, sound), key=f"join {mark}")
                return await self._publish(ctx, mark, f"{place}/{joined.name}", self._cut(ctx, joined, surveyed))
        logger.info("{} is transcoded whole: {}", shown(self.source), because)
        whole = await alone(ctx, self._whole(ctx, place), key=f"whole {mark}")
        here = {"target": self.target, "path": str(ctx.locations.path(self.target))}
        made = {**whole.model_dump(), **here, "pieces": 1, "whole_because": because}
        return await self._publish(ctx, mark, whole.target, ChunkedTranscoded.model_validate(made))

    async def _encode(self, ctx: Ctx, mark: str, place: str, surveyed: Surveyed) -> tuple[list[Part], Part | None]:
        """Have all pieces and the sound transcoded; what was done before is found by its key."""
        children: list[Child[Part, Trouble]] = []
        if surveyed.sound:
            children.append(await ctx.spawn(self._sound(ctx, place, surveyed), key=f"sound {mark}"))
        seconds = [0.0 for _ in children]
        for number in longest_first([piece.end - piece.start for piece in surveyed.pieces]):
            piece = self._piece(ctx, place, surveyed, number)
            children.append(await ctx.spawn(piece, key=f"piece {number} {mark}"))
            seconds.append(float((piece.part.end - piece.part.start) * piece.tick))
        logger.info("transcoding {} in {} pieces", shown(self.source), len(surveyed.pieces))
        meter = Meter(ctx.report)
        meter.start("transcoding", total=sum(seconds), unit="seconds")

        def show(statuses: Sequence[Progress | None]) -> None:
            done = [share(status, whole) for status, whole in zip(statuses, seconds, strict=True)]
            ended = sum(one >= whole > 0 for one, whole in zip(done, seconds, strict=True))
            meter.item(f"{ended} of {len(surveyed.pieces)} pieces done")
            meter.at(sum(done))

        made = await together(ctx, children, show)
        meter.end()
        sound = made.pop(0) if surveyed.sound else None
        return sorted(made, key=lambda part: part.name), sound

    def _survey(self, ctx: Ctx) -> Survey:
        return Survey(
            source=self.source,
            preset=self.preset,
            piece_seconds=self.piece_seconds,
            stall_max_seconds=self.stall_max_seconds,
            queue=ctx.queue,
        )

    def _piece(self, ctx: Ctx, place: str, surveyed: Surveyed, number: int) -> Piece:
        return Piece(
            source=self.source,
            identity=surveyed.identity,
            folder=place,
            number=number,
            part=surveyed.pieces[number],
            tick=surveyed.tick,
            rate=surveyed.rate,
            preset=self.preset,
            height=self.height,
            crf=self.crf,
            threads=self.threads_per_piece,
            decode=self.decode,
            stall_max_seconds=self.stall_max_seconds,
            output_max_bytes=output_bound(self.output_max_bytes, surveyed.identity.bytes),
            queue=ctx.queue,
        )

    def _sound(self, ctx: Ctx, place: str, surveyed: Surveyed) -> Sound:
        return Sound(
            source=self.source,
            identity=surveyed.identity,
            folder=place,
            seconds=surveyed.seconds,
            preset=self.preset,
            audio_kbps=self.audio_kbps,
            decode=self.decode,
            stall_max_seconds=self.stall_max_seconds,
            output_max_bytes=output_bound(self.output_max_bytes, surveyed.identity.bytes),
            queue=ctx.queue,
        )

    def _join(self, ctx: Ctx, place: str, surveyed: Surveyed, parts: list[Part], sound: Part | None) -> Join:
        return Join(
            folder=place,
            pieces=parts,
            lengths=lengths_of(surveyed),
            begins_seconds=surveyed.begins_seconds,
            sound=sound,
            preset=self.preset,
            stall_max_seconds=self.stall_max_seconds,
            output_max_bytes=output_bound(self.output_max_bytes, surveyed.identity.bytes),
            queue=ctx.queue,
        )

    def _whole(self, ctx: Ctx, place: str) -> Whole:
        return Whole(
            source=self.source,
            target=f"{place}/whole{PRESETS[self.preset].suffixes[0]}",
            preset=self.preset,
            height=self.height,
            crf=self.crf,
            audio_kbps=self.audio_kbps,
            overwrite=True,
            stall_max_seconds=self.stall_max_seconds,
            output_max_bytes=self.output_max_bytes,
            queue=ctx.queue,
        )

    def _cut(self, ctx: Ctx, joined: Joined, surveyed: Surveyed) -> ChunkedTranscoded:
        return ChunkedTranscoded(
            target=self.target,
            path=str(ctx.locations.path(self.target)),
            preset=self.preset,
            preset_version=PRESETS[self.preset].version,
            duration_seconds=joined.seconds,
            frames=joined.frames,
            width=joined.width,
            height=joined.height,
            source_bytes=surveyed.identity.bytes,
            bytes=joined.bytes,
            sha256=joined.sha256,
            pieces=len(surveyed.pieces),
        )

    async def _publish(self, ctx: Ctx, mark: str, place: str, made: ChunkedTranscoded) -> ChunkedTranscoded:
        """Give the film its name; an attempt that dies between that and its own end is found to have done it."""
        async with ctx.output(self.target, replace=self.overwrite) as out:
            await asyncio.to_thread(_link, ctx.locations.path(place), out.path)
            await ctx.checkpoint(Kept(mark=mark, made=made))
        logger.info("wrote {}: {}, {}", shown(self.target), show_seconds(made.duration_seconds), show_bytes(made.bytes))
        return made


def unfit_because(parts: Sequence[Part]) -> str | None:
    """Why pieces that were made do not fit together; None when they do."""
    if not all(part.exact for part in parts):
        return "its pieces do not begin cleanly"
    if len({(part.width, part.height) for part in parts}) > 1:
        return "its pictures change their size"
    return None


def longest_first(lengths: Sequence[int]) -> list[int]:
    """The order in which to begin pieces, so that none that takes long is left for the end."""
    return sorted(range(len(lengths)), key=lambda number: -lengths[number])


def lengths_of(surveyed: Surveyed) -> list[Fraction]:
    """How long each piece lasts, in seconds, exactly: by its beats where the rate is constant."""
    if surveyed.rate is not None:
        return [piece.frames / surveyed.rate for piece in surveyed.pieces]
    return [(piece.end - piece.start) * surveyed.tick for piece in surveyed.pieces]


def _is_published(made: ChunkedTranscoded) -> bool:
    path = Path(made.path)
    if not path.is_file() or path.stat().st_size != made.bytes:
        return False
    return sha256_of(path, meter=Meter(lambda _: None)) == made.sha256


def _link(made: Path, path: Path) -> None:
    """Give the film a second name, so that it is still there for another try; where that is not possible, a new one."""
    try:
        os.link(made, path)
    except OSError:  # some file systems have no hard links
        made.rename(path)
