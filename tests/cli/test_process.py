"""The program as a process: pipes, signals, terminals, speed of start."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

from heavyjobs.cli.exits import Exit
from tests.cli.stage import Stage


def test_a_reader_that_goes_away_ends_the_output_quietly(stage: Stage) -> None:
    job = stage.submit()
    claim = stage.claim()
    for _ in range(20):
        stage.say(claim, *["x" * 500] * 200)

    with stage.start("logs", job) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()

        assert process.wait() == Exit.PIPE_CLOSED
        assert process.stderr.read() == ""


def test_ctrl_c_ends_a_followed_log_without_a_trace(stage: Stage) -> None:
    job = stage.submit()
    stage.say(stage.claim(), "one")

    with stage.start("logs", job, "-f") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("attempt 1")
        assert process.stdout.readline().endswith("one\n")
        process.send_signal(signal.SIGINT)

        assert process.wait() == Exit.INTERRUPTED
        assert process.stderr.read().strip() == ""


def test_the_exit_code_of_an_error_reaches_the_shell(stage: Stage) -> None:
    with stage.start("show", "1") as process:
        assert process.stderr
        assert process.wait() == Exit.DATABASE
        assert process.stderr.read().startswith("heavyjobs: ")


def test_the_trace_of_a_bug_is_shown_when_debugging(stage: Stage) -> None:
    (stage.folder / "heavyjobs.toml").write_text("")
    code = "from heavyjobs.cli import listing, main; listing.with_client = None; main()"
    command = [sys.executable, "-c", code, "list"]

    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    debugging = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HEAVYJOBS_DEBUG": "1"})

    assert plain.returncode == Exit.BUG
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugging.stderr


def test_colour_and_a_live_bar_are_for_terminals_only(stage: Stage) -> None:
    job = stage.submit()
    claim = stage.claim()
    stage.say(claim, "one", "\x1b[2Jtwo", status='{"done":1,"total":4,"unit":"bytes"}')
    stage.succeed(claim)

    shown = on_terminal(stage, "logs", job, "-f")
    listed = on_terminal(stage, "list")

    assert b"\x1b[" in shown
    assert b"\x1b[2J" not in shown
    assert "␛" not in stage.answer("logs", job).replace("␛[2Jtwo", "")
    assert b"\x1b[32msucceeded" in listed
    assert "\x1b" not in stage.answer("list")
    assert b"\x1b[32m" not in on_terminal(stage, "list", environ={"NO_COLOR": "1"})


def test_a_bar_is_shown_while_the_job_runs(stage: Stage) -> None:
    job = stage.submit()
    claim = stage.claim()
    stage.say(claim, "one", status='{"phase":"packing","done":1,"total":4,"unit":"bytes"}')
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "heavyjobs.cli", "logs", job, "-f"], stdout=follower) as process:
        os.close(follower)
        seen = b""
        while b"25 %" not in seen:
            seen += os.read(leader, 4096)
        stage.say(claim, "two")
        stage.succeed(claim)
        seen += drained(leader)
        assert process.wait() == Exit.OK

    assert "━".encode() in seen
    assert b"packing" in seen
    assert seen.index(b"one") < seen.index(b"two") < seen.index(b"succeeded in")


def test_the_program_starts_without_what_it_does_not_need(stage: Stage) -> None:
    stage.submit()
    heavy = {"psycopg", "rich.console", "rich.progress", "heavyjobs.jobs", "heavyjobs.coordinator", "loguru"}
    code = (
        "import sys, atexit; from heavyjobs.cli import main; sys.argv = ['heavyjobs', 'list']; "
        f"atexit.register(lambda: print(*({heavy} & set(sys.modules)), file=sys.stderr)); main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == ""


def on_terminal(stage: Stage, *arguments: str, environ: dict[str, str] | None = None) -> bytes:
    """What a terminal gets from a command that succeeds."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "heavyjobs.cli", *arguments],
        stdout=follower,
        cwd=stage.folder,
        env={**os.environ, "TERM": "xterm", **(environ or {})},
    ) as process:
        os.close(follower)
        seen = drained(leader)
        assert process.wait() == Exit.OK
    return seen


def drained(leader: int) -> bytes:
    """All that comes until the other side is closed."""
    seen = b""
    try:
        while data := os.read(leader, 65536):
            seen += data
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(leader)
    return seen
