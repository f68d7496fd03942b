"""A job run in a process that is killed between two lines of it; `python -m tests.jobs.mortal FOLDER LINE KIND JOB…`.

The folder keeps what a store would: the claim number and the checkpoint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from heavyjobs import events
from heavyjobs.context import Assignment, Context
from heavyjobs.job import Job
from heavyjobs.jobs import Convert, Extract, Pack, extracting, new_archive
from heavyjobs.locations import Locations
from heavyjobs.model import ClaimKey
from heavyjobs.values import NULL, JsonText

if TYPE_CHECKING:
    from _typeshed import TraceFunction

ROOT: Final = Path(__file__).parents[2]
JOB: Final = UUID("01940000-0000-7000-8000-000000000001")
KINDS: Final[dict[str, type[Job[Any, Any, Any]]]] = {kind.kind: kind for kind in (Extract, Pack, Convert)}
INTERVAL_BYTES: Final = 100_000
INTERVAL_MEMBERS: Final = 7


def run_until(line: int, folder: Path, job: Job[Any, Any, Any]) -> str | None:
    """Run the job's next invocation, and kill it after so many lines; its result as JSON if it came before that."""
    argv = [sys.executable, "-m", "tests.jobs.mortal", str(folder), str(line), job.kind, job.parameters()]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.stdout if done.returncode == 0 else None


def checkpoint(folder: Path) -> str | None:
    """The newest."""
    return (folder / "checkpoint").read_text() if (folder / "checkpoint").exists() else None


class _Link:
    stop = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self, status: JsonText) -> None: ...

    def log(self, text: str) -> None: ...

    def ask(self, request: events.Request) -> JsonText:
        if isinstance(request, events.Checkpoint):
            (self._folder / "new").write_text(request.data)
            (self._folder / "new").rename(self._folder / "checkpoint")
        return NULL

    async def ask_async(self, request: events.Request) -> JsonText:
        return self.ask(request)

    def shield(self) -> AbstractContextManager[None]:
        return nullcontext()


def _next_claim(folder: Path) -> int:
    number = folder / "claim"
    claim = int(number.read_text()) + 1 if number.exists() else 1
    number.write_text(str(claim))
    return claim


def _die_at(line: int) -> None:
    left = line

    def trace(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        nonlocal left
        if "heavyjobs" not in frame.f_code.co_filename:
            return None
        left -= event == "line"
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def main(folder: Path, line: int, kind: str, parameters: str) -> None:
    for room in (extracting, new_archive):
        room.INTERVAL_BYTES, room.INTERVAL_MEMBERS = INTERVAL_BYTES, INTERVAL_MEMBERS  # type: ignore[attr-defined]
    job = KINDS[kind].model_validate_json(parameters)
    kept = checkpoint(folder)
    assignment = Assignment(
        claim=ClaimKey(JOB, _next_claim(folder)),
        kind=job.kind,
        queue="default",
        attempt=1,
        attempts=1,
        epoch=0,
        depth=0,
        checkpoint=None if kept is None else JsonText(kept),
    )
    ctx = Context[Any, Any](assignment, _Link(folder), job=job, locations=Locations({}, plain=True))
    _die_at(line)
    result = cast("Any", job.run(cast("Any", ctx)))
    sys.settrace(None)
    sys.stdout.write(result.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
