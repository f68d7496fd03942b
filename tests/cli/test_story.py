"""What is told of a job while it runs: in order, and once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heavyjobs.cli.screen import PlainScreen
from heavyjobs.cli.story import ForPeople
from heavyjobs.model import (
    Bill,
    Cause,
    ClaimKey,
    Ending,
    InvocationRecord,
    JobRecord,
    JobState,
    LogLine,
    Policy,
    Source,
    new_id,
)
from heavyjobs.values import JsonText

JOB = new_id()
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def invocation(cause: Cause, *, epoch: int = 1) -> InvocationRecord:
    return InvocationRecord(
        claim=ClaimKey(JOB, 1),
        epoch=epoch,
        attempt=1,
        session=JOB,
        host="host-a",
        slot="2",
        opened_at=WHEN,
        started_at=WHEN,
        ended_at=WHEN,
        ending=cause.ending,
        status=None,
        cause=cause,
        bill=Bill(wall_seconds=0.032),
        log_lines=0,
        log_bytes=0,
        log_dropped_lines=0,
    )


def record() -> JobRecord:
    return JobRecord(
        id=JOB,
        kind="film.cut",
        version=1,
        state=JobState.DEAD,
        parameters=JsonText("{}"),
        policy=Policy(),
        epoch=1,
        attempt=1,
        claim=1,
        created_at=WHEN,
    )


def line(text: str, *, at: float = 0.0, source: Source = Source.HEAVYJOBS, level: int = 40) -> LogLine:
    return LogLine(1, 0, at, source, level, text)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> PlainScreen:
    monkeypatch.setenv("TZ", "UTC")
    return PlainScreen(flush=False, statuses=True)


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines so far, without their times."""
    return [text.rpartition("    ")[2] for text in capsys.readouterr().out.splitlines()]


# -- each failure once


@pytest.mark.parametrize(
    ("ending", "message", "told"),
    [
        (
            Ending.CRASHED,
            "killed by signal 11 (SIGSEGV) after 32 ms",
            "crashed after 32 ms: killed by signal 11 (SIGSEGV)",
        ),
        (
            Ending.OUT_OF_MEMORY,
            "killed by signal 9 after 32 ms, out of memory (used 1.0 GiB)",
            "out of memory after 32 ms: killed by signal 9 (used 1.0 GiB)",
        ),
        (Ending.HANDED_BACK, "handed back: this coordinator drains", "handed back after 32 ms: this coordinator drains"),
        (Ending.CANCELLED, "cancelled on request", "cancelled after 32 ms: on request"),
        (Ending.CANCELLED, "cancelled", "cancelled after 32 ms"),
        (
            Ending.TIMED_OUT,
            "ran longer than its timeout of 2.0 s",
            "timed out after 32 ms: ran longer than its timeout of 2.0 s",
        ),
    ],
)
def test_the_cause_is_told_by_the_end_alone_and_without_repeating_words(
    screen: PlainScreen, capsys: pytest.CaptureFixture[str], ending: Ending, message: str, told: str
) -> None:
    teller = ForPeople(screen)

    teller.line(line("Fatal error", source=Source.STDERR))
    teller.line(line(message, level=20 if ending is Ending.HANDED_BACK else 40))
    teller.ends(invocation(Cause(ending, message)), record())

    assert shown(capsys) == ["Fatal error", told]


@pytest.mark.parametrize("message", ['{"frame":7}', 'Torn: {"frame":7}'])
def test_a_typed_error_is_told_by_its_fields(screen: PlainScreen, capsys: pytest.CaptureFixture[str], message: str) -> None:
    teller = ForPeople(screen)

    teller.line(line(message))
    teller.ends(invocation(Cause(Ending.FAILED, message, "film.Torn")), record())

    assert shown(capsys) == ["failed after 32 ms: Torn: frame 7"]


def test_a_cause_of_several_lines_is_told_once_too(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    teller = ForPeople(screen)

    for text in ("something else", "ValueError: one", "two"):
        teller.line(line(text))
    teller.ends(invocation(Cause(Ending.RAISED, "ValueError: one\ntwo", "ValueError")), record())

    assert shown(capsys) == ["something else", "raised after 32 ms: ValueError: one two"]


def test_what_the_job_said_itself_is_never_left_out(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    teller = ForPeople(screen)

    teller.line(line("killed", source=Source.STDERR))
    teller.ends(invocation(Cause(Ending.CRASHED, "killed")), record())

    assert shown(capsys) == ["killed", "crashed after 32 ms: killed"]


def test_a_remark_that_was_held_back_comes_before_the_next_line_or_at_a_pause(
    screen: PlainScreen, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = ForPeople(screen)

    teller.line(line("these lines cannot be read"))
    teller.line(line("one", source=Source.STDOUT))
    teller.line(line("nor these"))
    teller.idle()

    assert shown(capsys) == ["these lines cannot be read", "one", "nor these"]


def test_an_attempt_of_a_later_epoch_says_so(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    ForPeople(screen).begins(invocation(Cause(Ending.CRASHED, "x"), epoch=2))

    assert capsys.readouterr().out.startswith("attempt 1 of epoch 2   host-a, slot 2")


# -- statuses without a terminal


def test_a_status_stands_after_what_happened_before_it_was_known(
    screen: PlainScreen, capsys: pytest.CaptureFixture[str]
) -> None:
    screen.status("half", at=100.0)
    screen.line("before", at=99.0)
    screen.line("after", at=101.0)

    assert shown(capsys) == ["before", "half", "after"]


def test_a_status_is_shown_when_nothing_else_comes(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    screen.status("half", at=100.0)
    before = shown(capsys)
    screen.idle()

    assert (before, shown(capsys)) == ([], ["half"])


def test_of_many_statuses_the_first_and_the_last_are_shown(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(50):
        screen.status(f"{number} of 49", at=100.0 + number / 100)
    screen.over(at=101.0)
    screen.over(at=102.0)

    assert shown(capsys) == ["0 of 49", "49 of 49"]


def test_a_status_never_breaks_a_line_that_is_not_finished(screen: PlainScreen, capsys: pytest.CaptureFixture[str]) -> None:
    screen.status("half", at=100.0)
    screen.line("long ", at=99.0, end="")
    screen.idle()
    screen.line("line", at=101.0)
    screen.idle()

    assert shown(capsys) == ["long line", "half"]
