from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path

import psutil
import pytest

from heavyjobs import programs
from heavyjobs.errors import CancelRequested, ProgramFailed, UsageError, WorkError
from heavyjobs.outputs import Output
from heavyjobs.processes import every_process
from heavyjobs.programs import Stream
from heavyjobs.shielding import Shield
from heavyjobs.textlines import LINE_MAX_BYTES, LineCutter
from tests.jobs.interrupting import interrupt

PARENT_OF_FAMILY = r"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def sleep(name):
    os.write(1, f"{name} {os.getpid()}\n".encode())  # in one piece
    time.sleep(1000)
if not os.fork():
    sleep("child")
if not os.fork():
    os.setsid()
    sleep("own session")
if not os.fork():
    os.setsid()
    if not os.fork():
        sleep("daemon")  # its parent leaves at once
    os._exit(0)
sleep("parent")
"""
FLOOD = "import os, sys; chunk = b'x' * 999 + b'\\n'; [os.write(fd, chunk) for _ in range(2000) for fd in (1, 2)]"


def python(
    code: str, *, log: list[str] | None = None, stream: Stream = "stdout", env: dict[str, str] | None = None
) -> AbstractContextManager[Iterator[str]]:
    argv = [sys.executable, "-c", code]
    return programs.program(argv, stream=stream, cwd=None, env=env, log=print if log is None else log.append)


def async_python(code: str, *, log: list[str]) -> AbstractAsyncContextManager[AsyncIterator[str]]:
    return programs.async_program([sys.executable, "-c", code], stream="stdout", cwd=None, env=None, log=log.append)


def gone(pid: int, *, within_seconds: float = 0.0) -> bool:
    """Whether a process has ended; one that nobody has waited for yet, has."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.001)


def test_lines_come_one_by_one_and_the_other_stream_is_logged() -> None:
    log: list[str] = []

    with python("import sys; print('a'); print('b'); print('remark', file=sys.stderr)", log=log) as lines:
        assert list(lines) == ["a", "b"]

    assert log == ["remark"]


def test_either_stream_can_be_the_one_that_is_read() -> None:
    log: list[str] = []

    with python("import sys; print('a'); print('b', file=sys.stderr)", log=log, stream="stderr") as lines:
        assert list(lines) == ["b"]

    assert log == ["a"]


def test_a_line_comes_when_it_is_written_and_not_at_the_end() -> None:
    with python("import sys; print('first', flush=True); sys.stdin.read(); import time; time.sleep(1000)") as lines:
        assert next(lines) == "first"


def test_floods_on_both_streams_block_neither() -> None:
    log: list[str] = []

    with python(FLOOD, log=log) as lines:
        assert sum(1 for _ in lines) == 2000

    assert log == ["x" * 999] * 2000


def test_a_flood_on_the_stream_that_nobody_reads_yet_leaves_the_log_running() -> None:
    log: list[str] = []

    with python("import os; os.write(2, b'y\\n' * 500000); print('done')", log=log) as lines:
        assert next(lines) == "done"

    assert len(log) == 500000


def test_a_log_that_fails_neither_blocks_the_program_nor_is_forgotten() -> None:
    def log(line: str) -> None:
        raise ConnectionError(line[:3])

    seen: list[str] = []

    def run() -> None:
        with programs.program([sys.executable, "-c", FLOOD], stream="stdout", cwd=None, env=None, log=log) as lines:
            seen.extend(lines)

    with pytest.raises(ConnectionError, match="xxx"):
        run()
    assert len(seen) == 2000


def test_the_program_has_ended_for_the_job_when_its_last_line_is_logged() -> None:
    began, log = threading.Event(), list[str]()

    def slowly(line: str) -> None:
        began.wait(10)
        log.append(line)

    threading.Timer(0.3, began.set).start()  # long after the program has ended
    with programs.program(["sh", "-c", "seq 1000 >&2"], stream="stdout", cwd=None, env=None, log=slowly) as lines:
        assert list(lines) == []

    assert len(log) == 1000


def test_bytes_come_as_they_are_and_the_files_place_is_shared(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(range(256)) * 1000)
    code = "import os, sys; os.write(2, b'remark\\n'); [os.write(1, data) for data in iter(lambda: os.read(0, 999), b'')]"
    log: list[str] = []

    with (
        (tmp_path / "in").open("rb") as file,
        programs.program_bytes([sys.executable, "-c", code], stdin=file.fileno(), log=log.append) as pieces,
    ):
        assert b"".join(pieces) == (tmp_path / "in").read_bytes()
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 256_000

    assert log == ["remark"]


async def test_bytes_come_beside_an_event_loop_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\xff\r\n" * 1000)
    code = "import os; [os.write(1, data) for data in iter(lambda: os.read(0, 999), b'')]"

    with (tmp_path / "in").open("rb") as file:
        running = programs.async_program_bytes([sys.executable, "-c", code], stdin=file.fileno(), log=print)
        async with running as pieces:
            read = [piece async for piece in pieces]

    assert b"".join(read) == b"\xff\r\n" * 1000


def test_leaving_while_bytes_are_awaited_leaves_no_process() -> None:
    code = "import os, time; os.write(1, str(os.getpid()).encode()); time.sleep(1000)"

    with Path(os.devnull).open("rb") as file:
        running = programs.program_bytes([sys.executable, "-c", code], stdin=file.fileno(), log=print)
        with running as pieces:
            pid = int(next(pieces))

    assert gone(pid)


def test_standard_input_is_empty() -> None:
    with python("import sys; print(repr(sys.stdin.read()))") as lines:
        assert list(lines) == ["''"]


def test_a_bad_code_is_raised_after_the_last_line_with_the_tail_of_the_log() -> None:
    code = "import sys; print('a'); print(*range(30), sep='\\n', file=sys.stderr); sys.exit(7)"
    seen: list[str] = []

    def run() -> None:
        with python(code) as lines:
            seen.extend(lines)

    with pytest.raises(ProgramFailed, match="exited with code 7: 29") as failed:
        run()
    assert (failed.value.code, failed.value.signal) == (7, None)
    assert failed.value.tail == tuple(str(number) for number in range(10, 30))
    assert failed.value.argv[0] == sys.executable


def test_a_signal_that_ended_it_is_named() -> None:
    with (
        pytest.raises(ProgramFailed, match="killed by signal 9") as failed,
        python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") as lines,
    ):
        list(lines)

    assert (failed.value.code, failed.value.signal) == (None, signal.SIGKILL)


def test_a_program_that_is_not_there_is_named_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    for argv, text in {
        ("no-such-program",): "no-such-program: no such program; install it",
        (str(tmp_path / "data"),): "not a program that may be run",
        (): "not a command",
        ("echo", "a\0b"): "without NUL",
    }.items():
        with pytest.raises(WorkError, match=text), programs.program(argv, stream="stdout", cwd=None, env=None, log=print):
            pytest.fail("it ran")
    with (
        pytest.raises(WorkError, match="no such folder"),
        programs.program(["pwd"], stream="stdout", cwd=tmp_path / "no", env=None, log=print),
    ):
        pytest.fail("it ran")


def test_folder_and_environment_are_as_given_and_the_workers_mark_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAVYJOBS_WORKER", "mark")
    monkeypatch.setenv("OTHER", "not wanted")
    argv = [
        sys.executable,
        "-c",
        "import os; print(os.getcwd()); print(*map(os.environ.get, ['A', 'OTHER', 'HEAVYJOBS_WORKER']))",
    ]

    with programs.program(argv, stream="stdout", cwd=tmp_path, env={"A": "1"}, log=print) as lines:
        assert list(lines) == [str(tmp_path), "1 None mark"]


def test_leaving_early_ends_a_family_that_ignores_sigterm_and_flees_its_session() -> None:
    pids: list[int] = []

    with python(PARENT_OF_FAMILY) as lines:
        pids.extend(int(next(lines).split()[-1]) for _ in range(4))
        assert not any(gone(pid) for pid in pids)

    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("error", [CancelRequested, ValueError])
def test_an_exception_ends_it_and_passes(error: type[BaseException]) -> None:
    pids: list[int] = []

    def run() -> None:
        with python("import os, time; print(os.getpid(), flush=True); time.sleep(1000)") as lines:
            pids.append(int(next(lines)))
            raise error

    with pytest.raises(error):
        run()
    assert gone(pids[0])


def test_a_program_that_obeys_sigterm_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "TERM_SECONDS", 60.0)

    with python("import time; print('ready', flush=True); time.sleep(1000)") as lines:
        next(lines)
        began = time.monotonic()

    assert time.monotonic() - began < programs.TERM_SECONDS


@pytest.mark.parametrize(
    "code", ["import time; time.sleep(1000)", "import os, time; os.close(1); os.close(2); time.sleep(1000)"]
)
def test_what_a_watch_raises_ends_a_program_that_says_nothing(code: str) -> None:
    before = set(psutil.Process().children())
    looks = iter(range(3))

    def watch() -> None:
        if next(looks, None) is None:
            raise TimeoutError

    argv = [sys.executable, "-c", code]
    with (
        pytest.raises(TimeoutError),
        programs.program(argv, stream="stdout", cwd=None, env=None, log=print, watch=watch) as lines,
    ):
        list(lines)

    assert all(gone(child.pid) for child in {*psutil.Process().children()} - before)


def test_a_grandchild_that_keeps_the_streams_open_does_not_keep_the_job() -> None:
    with python("import os, time\npid = os.fork()\nif not pid: os.setsid(); time.sleep(1000)\nprint(pid)") as lines:
        (pid,) = map(int, lines)

    os.kill(pid, signal.SIGKILL)  # left to the worker, which sweeps when the job has ended


def test_what_it_left_in_its_own_group_ends_with_it() -> None:
    with python("import os, time\npid = os.fork()\nif not pid: time.sleep(1000)\nprint(pid)") as lines:
        (pid,) = map(int, lines)

    assert gone(pid, within_seconds=20)


@pytest.mark.parametrize("line", range(0, 400, 9))
def test_a_request_to_stop_on_any_line_leaves_no_process(line: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAVYJOBS_TEST", f"{os.getpid()}-{line}")

    def work(shield: Shield) -> None:
        with programs.program(["sleep", "30"], stream="stdout", cwd=None, env=None, log=print, shield=shield) as lines:
            next(lines)

    assert interrupt(work, at_line=line)
    assert not _with_environment("HEAVYJOBS_TEST", f"{os.getpid()}-{line}")


def test_no_descriptor_is_left_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # what other tests have left open until somebody collects it
    before = descriptors()

    for _ in range(3):
        with python("print('a')") as lines:
            list(lines)
        with python("print('a'); import time; time.sleep(1000)"):
            pass

    assert descriptors() <= before


async def test_the_asynchronous_twin_reads_logs_and_fails_alike() -> None:
    log: list[str] = []

    async with async_python(FLOOD, log=log) as lines:
        count = len([line async for line in lines])

    assert (count, len(log)) == (2000, 2000)
    with pytest.raises(ProgramFailed, match="code 3: why"):
        async with async_python("import sys; print('why', file=sys.stderr); sys.exit(3)", log=log) as lines:
            assert [line async for line in lines] == []


async def test_a_cancelled_task_leaves_no_process() -> None:
    pids: asyncio.Queue[int] = asyncio.Queue()

    async def run() -> None:
        async with async_python(PARENT_OF_FAMILY, log=[]) as lines:
            async for line in lines:
                pids.put_nowait(int(line.split()[-1]))

    task = asyncio.create_task(run())
    async with asyncio.timeout(20):
        family = [await pids.get() for _ in range(4)]
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # a second one does not cut the clean-up short
    with pytest.raises(asyncio.CancelledError):
        await task

    assert all(gone(pid) for pid in family)


async def test_a_silent_program_leaves_the_loop_free() -> None:
    async with async_python("import time; print('a', flush=True); time.sleep(1000)", log=[]) as lines:
        assert await anext(lines) == "a"
        waiting = asyncio.ensure_future(anext(lines))
        ticks = [await asyncio.sleep(0, number) for number in range(100)]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert len(ticks) == 100


def _with_environment(name: str, value: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in every_process():
        try:
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_are_the_same_however_the_bytes_arrive(size: int) -> None:
    data = "one\ntwo\r\nthree\rfour\n\nsix é\r\r\neight".encode()
    cutter = LineCutter()

    lines = [line for start in range(0, len(data), size) for line in cutter.feed(data[start : start + size])]

    assert [*lines, *cutter.end()] == ["one", "two", "three", "four", "", "six é", "", "eight"]


def test_what_is_not_text_is_shown() -> None:
    assert LineCutter().feed(b"caf\xe9 \xff\n") == ["caf\\xe9 \\xff"]


def test_a_long_line_is_cut_between_characters_and_held_in_bounded_memory() -> None:
    cutter = LineCutter()
    text = "é" * 100_000

    lines = cutter.feed(b"x" + text.encode()) + cutter.feed(b"\nend\n")

    assert "".join(lines[:-1]) == "x" + text
    assert lines[-1] == "end"
    assert all(len(line.encode()) <= LINE_MAX_BYTES for line in lines)


def test_a_command_in_one_text_is_refused_with_the_list_to_pass() -> None:
    with pytest.raises(UsageError, match=r"no shell to read 'ls -l'; pass a list: \['ls', '-l'\]"):
        programs.program("ls -l", stream="stdout", cwd=None, env=None, log=print).__enter__()


def test_arguments_may_be_paths_and_outputs(tmp_path: Path) -> None:
    out = Output(tmp_path / "out")

    with programs.program(["echo", tmp_path, out, "text"], stream="stdout", cwd=None, env=None, log=print) as lines:
        assert list(lines) == [f"{tmp_path} {tmp_path}/out text"]
