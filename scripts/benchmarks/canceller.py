"""A process that cancels what others have submitted: reads `JOB GRACE` lines, answers `JOB SECONDS` once the end is confirmed.

python -m benchmarks.canceller URL
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from heavyjobs import Client


class Canceller:
    """The other end: asks that process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - made with PIPE
        assert process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = process.stdin, process.stdout
        self._answers: dict[UUID, asyncio.Future[float]] = {}

    async def cancel(self, job: UUID, grace_seconds: float) -> float:
        """Seconds from asking until the end of the job's tree was confirmed, as the canceller has measured it."""
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._answers[job] = answer
        self._stdin.write(f"{job} {grace_seconds}\n".encode())
        return await answer

    async def listen(self) -> None:
        while line := await self._stdout.readline():
            job, seconds = line.decode().split()
            self._answers.pop(UUID(job)).set_result(float(seconds))


@asynccontextmanager
async def canceller(url: str) -> AsyncGenerator[Canceller]:
    command = (sys.executable, "-m", "benchmarks.canceller", url)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    other = Canceller(process)
    listening = asyncio.create_task(other.listen())
    try:
        yield other
    finally:
        process.terminate()
        await process.wait()
        await listening


async def main(url: str) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Client.open(url) as client, asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            job, grace = line.decode().split()
            tasks.create_task(_cancel(client, UUID(job), float(grace)))


async def _cancel(client: Client, job: UUID, grace_seconds: float) -> None:
    began = time.monotonic()
    await client.handle(job).cancel(grace=grace_seconds)
    print(job, time.monotonic() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
