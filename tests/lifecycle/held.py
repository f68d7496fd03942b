"""Jobs of the box that stand still in the middle of their work, so that a test finds them there. Workers import this module."""

from __future__ import annotations

import time

from typing_extensions import override

from heavyjobs import Context
from heavyjobs.jobs import Extract, Progress
from heavyjobs.jobs.extract_checkpoint import Extracted
from heavyjobs.jobs.trouble import Trouble


class HeldExtract(Extract, kind="tests.held_extract"):
    """When first claimed, goes on no further once it has reported so many bytes."""

    hold_at_bytes: int

    @override
    def run(self, ctx: Context[Progress, Trouble]) -> Extracted:
        if ctx.claim.number == 1:
            report = ctx.report

            def last(status: Progress) -> None:
                report(status)
                while status.done >= self.hold_at_bytes:
                    time.sleep(0.02)

            ctx.report = last  # type: ignore[method-assign]
        return super().run(ctx)
