"""`storage.copy`: a file, an object or a tree to another place, with its digest, checked before it counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.copy_far import FarCopy, Options
from heavyjobs.jobs.copy_here import Verify, check_apart, copy_here
from heavyjobs.jobs.far import elsewhere
from heavyjobs.jobs.finished import finish, finished
from heavyjobs.jobs.landing import newer
from heavyjobs.jobs.places import source_path, target_path
from heavyjobs.jobs.policies import Overwrite
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import Refused, Trouble, stop, typed
from heavyjobs.locations import Place
from heavyjobs.units import size_bytes

PART_BYTES = 8 << 20


def _once_boolean(value: object) -> object:
    """`overwrite` was a yes or no at first; jobs that say so are stored."""
    return {True: "overwrite", False: "error"}[value] if isinstance(value, bool) else value


Bytes = Annotated[int, BeforeValidator(size_bytes)]


class Copied(BaseModel):
    """What was copied.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it; elsewhere the same as `target`.
        files: that were copied. kept: that were left as they are, because the target has them. skipped: links (they are copied
            between folders of one host), sockets, FIFOs and devices that were left out.
        sha256: of the file; of a tree, of one line per file, `<sha256>  <name>`, in the order of the names' parts: what
            `sha256sum` prints for them. None where a server copied by itself, or nothing was copied.
        verified: how it was checked.
    """

    target: str
    path: str
    files: int
    kept: int = 0
    skipped: int
    bytes: int
    sha256: str | None
    verified: Verify


class Copy(Job[Copied, Progress, Trouble], kind="storage.copy"):
    """Copy a file or object, or all below a folder or prefix, from and to folders of this host, S3 and SFTP servers, or from
    web servers. Any other place that fsspec opens works too, plainly: its files are sent whole, and begun anew after a crash.

    `verify` says what is checked: `readback` reads what was written again and compares digests, `stream` records the digest of
    what was read, has servers check what they receive, and compares sizes, `none` only records the digest; between two buckets
    of one server it lets the server copy by itself, without a digest. On this host all of that happens before the copy appears.

    On this host a file or tree appears whole or not at all, and modes, times and symlinks are kept between folders. Elsewhere
    each object does, and is looked at after it appeared. Of objects the time is kept. `if_newer` compares times, object by
    object; for a tree on this host it is refused.

    Large things move by parts, `parallel` at a time; on this host inside the kernel, with their holes. After a crash or a stop
    a copy goes on: parts that are there are not sent again. What a killed job leaves that is never tried again is unseen: a
    hidden folder beside the target, which is swept, or an upload that was not completed, for a bucket's lifecycle rule.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source, or something in it, is missing or may not be read | `SourceMissing` | no |
    | a file changes or goes away while it is read | `SourceChanged` | yes |
    | what was written is not what was read | `OutputWrong` | yes |
    | a place that is not open to jobs; a target inside the source; a name that would escape | `Refused` | no |
    | the target exists, and `overwrite` is `error` | `TargetTaken` | no |
    | no such folder or bucket to write to, no permission, a name that is too long, no room | `TargetUnusable` | no |
    | a server stalls, resets or answers 5xx: seven times within the job, with growing waits, then | `StorageAway` | yes |
    | a package for that kind of place is missing | `NotInstalled` | yes |
    | sockets, FIFOs, devices | left out, a warning in the log, counted in `skipped` | |
    | a disk that is full while something comes from elsewhere, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place
    verify: Verify = "readback"
    overwrite: Annotated[Overwrite, BeforeValidator(_once_boolean)] = "error"
    parallel: int = Field(default=4, ge=1, le=32)
    part_size: Bytes = Field(default=PART_BYTES, ge=1 << 16, le=1 << 30)
    bandwidth: Bytes | None = Field(default=None, ge=1 << 10)

    config = JobConfig(timeout=None, memory=None)
    interval_bytes: ClassVar[int] = 64 << 20

    def run(self, ctx: Context[Progress, Trouble]) -> Copied:
        with typed(ctx, target=self.target):
            if elsewhere(ctx.locations, self.source) or elsewhere(ctx.locations, self.target):
                return self._far(ctx)
            return self._here(ctx)

    def _here(self, ctx: Context[Progress, Trouble]) -> Copied:
        if (done := finished(ctx, Copied)) is not None:
            return done
        source = Path(os.path.realpath(source_path(ctx.locations, self.source)))
        place = ctx.locations.path(self.target) if self.overwrite in {"skip", "if_newer"} else None
        if place is not None and os.path.lexists(place) and not self._replaces(source, place):
            return self._copied(path=str(place), kept=1)
        replace = self.overwrite in {"overwrite", "if_newer"}
        target = target_path(ctx.locations, self.target, overwrite=replace, folder=source.is_dir())
        check_apart(source, Path(os.path.realpath(target)), text=self.target)
        with ctx.output(self.target, replace=replace, resume=True) as out:
            here = copy_here(ctx, source, self.target, out=out, verify=self.verify, interval_bytes=self.interval_bytes)
            done = self._copied(path=str(target), files=here.files, skipped=here.skipped, bytes_=here.bytes, sha256=here.sha256)
            finish(ctx, out, done, path=target, kept=here.mark)
        return done

    def _replaces(self, source: Path, target: Path) -> bool:
        if self.overwrite == "if_newer" and source.is_dir():
            stop(Refused, "is a folder, and if_newer is for files", where=self.source, would_do="use overwrite or skip")
        return self.overwrite == "if_newer" and newer(source.stat().st_mtime, target)

    def _far(self, ctx: Context[Progress, Trouble]) -> Copied:
        options = Options(
            verify=self.verify,
            overwrite=self.overwrite,
            parallel=self.parallel,
            part_bytes=self.part_size,
            bandwidth=self.bandwidth,
        )
        path, done = FarCopy(ctx, self.source, self.target, options).run()
        return self._copied(
            path=path, files=done.files, kept=done.kept, skipped=done.skipped, bytes_=done.bytes, sha256=done.sha256
        )

    def _copied(
        self, *, path: str, files: int = 0, kept: int = 0, skipped: int = 0, bytes_: int = 0, sha256: str | None = None
    ) -> Copied:
        return Copied(
            target=self.target,
            path=path,
            files=files,
            kept=kept,
            skipped=skipped,
            bytes=bytes_,
            sha256=sha256,
            verified=self.verify,
        )
