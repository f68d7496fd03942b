"""A job of the box whose worker is killed, or stands still, where it reports: workers import this module."""

from __future__ import annotations

import itertools
import os
import signal
import time

from typing_extensions import override

from heavyjobs import Context, JobConfig
from heavyjobs.jobs import MakeHls, Progress
from heavyjobs.jobs.hls import HlsMade
from heavyjobs.jobs.trouble import Trouble


class MortalHls(MakeHls, kind="tests.mortal_hls"):
    """Killed in its first attempts: in each after so many reports, or at the first of a phase.

    When first claimed, it goes no further than the phase `hold_in`.
    """

    deaths: list[int | str]
    hold_in: str = ""
    config = JobConfig(attempts=10, backoff="20ms")

    @override
    def run(self, ctx: Context[Progress, Trouble]) -> HlsMade:
        death = self.deaths[ctx.attempt - 1] if ctx.attempt <= len(self.deaths) else None
        report, count = ctx.report, itertools.count(1)

        def last(status: Progress) -> None:
            report(status)
            if death in (status.phase, next(count)):
                os.kill(os.getpid(), signal.SIGKILL)
            while status.phase == self.hold_in and ctx.claim.number == 1:
                time.sleep(0.02)

        ctx.report = last  # type: ignore[method-assign]
        return super().run(ctx)
