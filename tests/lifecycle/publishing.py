"""Job types in the box that are killed once: when their output is published, and nobody knows their result yet."""

from __future__ import annotations

import os
import signal
from typing import Any

from heavyjobs import Context, JobConfig
from heavyjobs.jobs import Convert, Copy, ExtractAudio, Pack, Transcode
from heavyjobs.jobs.archive_checkpoint import Archived
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.extract_audio import ExtractedAudio
from heavyjobs.jobs.transcode import Transcoded

AT_ONCE = JobConfig(attempts=5, backoff="10ms")


def die_once(ctx: Context[Any, Any]) -> None:
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingPack(Pack, kind="tests.dying-pack"):
    config = AT_ONCE

    def run(self, ctx: Context[Any, Any]) -> Archived:
        done = super().run(ctx)
        die_once(ctx)
        return done


class DyingConvert(Convert, kind="tests.dying-convert"):
    config = AT_ONCE

    def run(self, ctx: Context[Any, Any]) -> Archived:
        done = super().run(ctx)
        die_once(ctx)
        return done


class DyingCopy(Copy, kind="tests.dying-copy"):
    config = AT_ONCE

    def run(self, ctx: Context[Any, Any]) -> Copied:
        done = super().run(ctx)
        die_once(ctx)
        return done


class DyingTranscode(Transcode, kind="tests.dying-transcode"):
    config = AT_ONCE

    def run(self, ctx: Context[Any, Any]) -> Transcoded:
        done = super().run(ctx)
        die_once(ctx)
        return done


class DyingExtractAudio(ExtractAudio, kind="tests.dying-extract-audio"):
    config = AT_ONCE

    def run(self, ctx: Context[Any, Any]) -> ExtractedAudio:
        done = super().run(ctx)
        die_once(ctx)
        return done
