"""A folder of its own for each test, with a configuration and a SQLite database; the coordinator is played by store verbs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

from click.testing import CliRunner, Result

from heavyjobs.cli.app import app
from heavyjobs.model import Bill, Cause, ClaimKey, Ending, JobRecord, Move
from heavyjobs.store import Store, open_store
from heavyjobs.store.records import End, Filter
from heavyjobs.testing.contract.harness import DEADLINE_SECONDS, DEATH, SUCCESS, chunk, new_session, news, take, want
from heavyjobs.values import JsonText

T = TypeVar("T")

HERE: Final = Path(__file__).parent
QUEUES: Final = {"default": 4, "films": 2}
KINDS: Final = {"film.cut": 1, "film.play": 1}
BILL: Final = Bill(wall_seconds=569.0, cpu_seconds=1022.0, memory_peak_bytes=412 << 20, read_bytes=1 << 30, written_bytes=0)


class Stage:
    """What a test plays on.

    Attributes:
        url: of the database; there is none before the first submit.
    """

    def __init__(self, folder: Path, *, modules: Sequence[str] = ("film_jobs",)) -> None:
        self.folder: Final = folder
        self.url: Final = f"sqlite:///{folder}/heavyjobs.db"
        self._session: UUID | None = None
        self._lines: Final[dict[ClaimKey, int]] = {}
        (folder / "heavyjobs.toml").write_text(f"modules = {json.dumps(modules)}\npath = [{json.dumps(str(HERE))}]\n")

    @property
    def database(self) -> Path:
        return self.folder / "heavyjobs.db"

    # -- the command line

    def run(self, *arguments: str, stdin: str | None = None, environ: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, env=environ, prog_name="heavyjobs")

    def answer(self, *arguments: str) -> str:
        """What a command answers that succeeds without a remark."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def document(self, *arguments: str) -> Any:
        return json.loads(self.answer(*arguments, "--json"))

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "heavyjobs.cli", *arguments],
            cwd=self.folder,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submit(self, *arguments: str) -> str:
        """The id of a new job; whatever is remarked about coordinators."""
        result = self.run("submit", "film.cut", "--source", "a.mkv", *arguments, "--json")
        assert result.exit_code == 0, result.output
        job: str = json.loads(result.stdout)["id"]
        return job

    # -- the coordinator

    def play(self, work: Callable[[Store, UUID], Awaitable[T]]) -> T:
        """Do something with the store and a registered session."""

        async def playing() -> T:
            async with open_store(self.url) as store:
                await store.migrate()
                if self._session is None:
                    session = replace(new_session(), queues=QUEUES, kinds=KINDS)
                    await store.register(session)
                    self._session = session.id
                return await work(store, self._session)

        return asyncio.run(playing())

    def serve(self) -> None:
        """Let a coordinator be there."""
        self.play(lambda store, _: store.check_schema())

    def jobs(self) -> Sequence[JobRecord]:
        return self.play(lambda store, _: store.list(Filter()))

    def until(self, holds: Callable[[], bool]) -> None:
        """Look until it holds, or fail after the deadline."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, "not true in time"
            time.sleep(0.01)

    def claim(self) -> ClaimKey:
        """Take the one job that is ready."""

        async def claim(store: Store, session: UUID) -> ClaimKey:
            await store.promote(limit=10)
            (claimed,) = await take(store, session, want("film.cut", queue="films"))
            return claimed.claim

        return self.play(claim)

    def say(self, claim: ClaimKey, *texts: str, status: str | None = None) -> None:
        first = self._lines.get(claim, 0)
        self._lines[claim] = first + len(texts)
        logs = [chunk(claim, first, *texts)] if texts else []
        self.play(
            lambda store, session: store.record(session, progress=[news(claim, status=status, slot="2")], logs=logs, ends=[])
        )

    def succeed(self, claim: ClaimKey, result: str = '{"count":3,"bytes":2048}') -> None:
        self._end(claim, Ending.SUCCEEDED, SUCCESS, result=JsonText(result))

    def die(self, claim: ClaimKey, cause: Cause, *, error: str | None = None, move: Move = DEATH) -> None:
        self._end(claim, cause.ending, move, cause=cause, error=None if error is None else JsonText(error))

    def _end(
        self,
        claim: ClaimKey,
        ending: Ending,
        move: Move,
        *,
        result: JsonText | None = None,
        error: JsonText | None = None,
        cause: Cause | None = None,
    ) -> None:
        progress = news(claim, bill=BILL, slot="2")
        end = End(progress=progress, ending=ending, move=move, result=result, error=error, cause=cause)
        self.play(lambda store, session: store.record(session, progress=[], logs=[], ends=[end]))
