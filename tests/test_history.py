"""Each rule of a sound history: it fires on a history made bad by hand, and keeps silent on good ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from heavyjobs.history import Finding, Rule, Witness, examine
from heavyjobs.history.rules import CHECKS
from heavyjobs.model import (
    STARTS_MAX,
    Bill,
    Cause,
    ClaimKey,
    CoordinatorRecord,
    Ending,
    InvocationRecord,
    JobRecord,
    JobState,
    Policy,
    Session,
)
from heavyjobs.values import JsonText

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOST_A, HOST_B = UUID(int=1), UUID(int=2)
JOB, CHILD = UUID(int=100), UUID(int=101)


def at(minute: float) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def session(identity: UUID, **state: Any) -> CoordinatorRecord:
    opened = Session(id=identity, name="host", host="host", boot_id="boot", pid=1, pid_started=1.0, release="0.1.0")
    times = {"drain_requested_at": None, "ended_at": None, "fenced_at": None, **state}
    return CoordinatorRecord(session=opened, tick=1, started_at=BEGIN, ticked_at=BEGIN, running=0, **times)


def run(claim: int, ending: Ending | None, *, job: UUID = JOB, epoch: int = 1, attempt: int, **facts: Any) -> InvocationRecord:
    """An invocation from minute 10 × claim, of nine minutes and three lines."""
    begin = 10.0 * claim
    usual = {
        "session": HOST_A,
        "started_at": at(begin + 1),
        "ended_at": None if ending is None else at(begin + 9),
        "cause": None if ending in {None, Ending.SUCCEEDED} else Cause(ending or Ending.RAISED, "why"),
        "opened_at": at(begin),
        "log_lines": 3,
    }
    return InvocationRecord(
        claim=ClaimKey(job, claim),
        epoch=epoch,
        attempt=attempt,
        host="host",
        slot="slot-1",
        ending=ending,
        status=None,
        bill=Bill(),
        log_bytes=30,
        log_dropped_lines=0,
        **{**usual, **facts},
    )


def job(state: JobState, *, identity: UUID = JOB, claim: int, attempt: int, **facts: Any) -> JobRecord:
    """A job's row with all that its state asks for."""
    usual = {
        "epoch": 1,
        "finished_at": at(500) if state.ended else None,
        "due_at": at(500) if state is JobState.SCHEDULED else None,
        "ready_at": at(500) if state is JobState.READY else None,
        "result": JsonText("1") if state is JobState.SUCCEEDED else None,
        "cause": Cause(Ending.RAISED, "why") if state in {JobState.DEAD, JobState.CANCELLED} else None,
        "policy": Policy(),
    }
    return JobRecord(
        id=identity,
        kind="demo.work",
        version=1,
        state=state,
        parameters=JsonText("{}"),
        claim=claim,
        attempt=attempt,
        created_at=BEGIN,
        **{**usual, **facts},
    )


@dataclass(frozen=True)
class History:
    """What `examine` is given; by default the logs are whole and both hosts live."""

    jobs: Sequence[JobRecord]
    runs: Sequence[InvocationRecord] = ()
    sessions: Sequence[CoordinatorRecord] = (session(HOST_A), session(HOST_B))
    witnessed: Sequence[Witness] = ()
    accepted: Sequence[UUID] = (JOB,)
    settled: bool = False
    chunks: dict[ClaimKey, list[tuple[int, int]]] = field(default_factory=dict)

    def findings(self) -> list[Finding]:
        return examine(
            jobs=self.jobs,
            invocations=self.runs,
            sessions=self.sessions,
            chunks={one.claim: [(0, 2), (2, 1)] for one in self.runs} | self.chunks,
            witnessed=self.witnessed,
            accepted=self.accepted,
            settled=self.settled,
        )


Change: TypeAlias = Callable[[History], History]

FIRST = run(1, Ending.FORFEITED, attempt=1)
SECOND = run(2, Ending.SUCCEEDED, attempt=2, session=HOST_B)
DONE = History(
    jobs=[job(JobState.SUCCEEDED, claim=2, attempt=2)],
    runs=[FIRST, SECOND],
    sessions=[session(HOST_A, fenced_at=at(19)), session(HOST_B, ended_at=at(40))],
    witnessed=[Witness(JOB, 1, 11.0, 18.0), Witness(JOB, 2, 21.0, 28.0)],
    settled=True,
)
RUNNING = History(
    jobs=[job(JobState.RUNNING, claim=2, attempt=2)],
    runs=[run(1, Ending.RAISED, attempt=1), run(2, None, attempt=2)],
)
SENT_AGAIN = History(
    jobs=[job(JobState.SUCCEEDED, claim=5, attempt=1, epoch=3)],
    runs=[
        run(1, Ending.RAISED, attempt=1),
        run(2, Ending.TIMED_OUT, attempt=2),
        run(3, Ending.CRASHED, attempt=3),
        run(4, Ending.HANDED_BACK, epoch=2, attempt=1),  # then cancelled while it waited, and sent again
        run(5, Ending.SUCCEEDED, epoch=3, attempt=1),
    ],
)
FAMILY = History(
    jobs=[
        job(JobState.CANCELLED, claim=1, attempt=1, finished_at=at(19)),
        job(JobState.CANCELLED, identity=CHILD, claim=0, attempt=0, parent=JOB, child_key="a", depth=1),
    ],
    runs=[run(1, Ending.CANCELLED, attempt=1)],
)
UNSTARTED = [run(number, Ending.CRASHED, attempt=1, started_at=None, log_lines=0) for number in range(1, STARTS_MAX + 1)]
NEVER_STARTED = History(
    jobs=[job(JobState.DEAD, claim=STARTS_MAX, attempt=0, cause=Cause(Ending.CRASHED, "no worker"))],
    runs=UNSTARTED,
    chunks={one.claim: [] for one in UNSTARTED},
)
GOOD = {
    "retried and done": DONE,
    "running": RUNNING,
    "waiting": History(jobs=[job(JobState.SCHEDULED, claim=0, attempt=0)]),
    "dead": History(
        jobs=[job(JobState.DEAD, claim=1, attempt=1, policy=Policy(attempts=1))], runs=[run(1, Ending.RAISED, attempt=1)]
    ),
    "cancelled while it waited to be tried again": History(
        jobs=[job(JobState.CANCELLED, claim=1, attempt=1)], runs=[run(1, Ending.RAISED, attempt=1)]
    ),
    "sent again, twice": SENT_AGAIN,
    "a family cancelled": FAMILY,
    "never started": NEVER_STARTED,
    "a stopped child of a fallen parent": replace(
        FAMILY,
        jobs=[
            FAMILY.jobs[0],
            replace(
                job(JobState.RUNNING, identity=CHILD, claim=1, attempt=1, cancel_requested_at=at(19)),
                parent=JOB,
                child_key="a",
                depth=1,
            ),
        ],
        runs=[*FAMILY.runs, run(1, None, job=CHILD, attempt=1)],
    ),
    "a child that someone sent again": replace(
        FAMILY,
        jobs=[
            FAMILY.jobs[0],
            job(JobState.READY, identity=CHILD, claim=0, attempt=0, parent=JOB, child_key="a", depth=1, epoch=2),
        ],
    ),
}


def rewritten(history: History, **facts: Any) -> History:
    """With another row of its first job."""
    return replace(history, jobs=[replace(history.jobs[0], **facts), *history.jobs[1:]])


def rerun(history: History, claim: int, **facts: Any) -> History:
    """With another row of one of its invocations."""
    return replace(history, runs=[replace(one, **facts) if one.claim.number == claim else one for one in history.runs])


def child(**facts: Any) -> History:
    """The cancelled family, with another row of the child."""
    return replace(FAMILY, jobs=[FAMILY.jobs[0], replace(FAMILY.jobs[1], **facts)])


LIVE = {"state": JobState.READY, "finished_at": None, "cause": None, "ready_at": at(5)}

BAD: dict[str, tuple[Rule, History]] = {
    "an accepted job is missing": (Rule.ACCEPTED, replace(DONE, accepted=[JOB, CHILD])),
    "a job has not ended in the end": (Rule.SETTLED, replace(RUNNING, settled=True)),
    "a success without a result": (Rule.FITTING, rewritten(DONE, result=None)),
    "an end time of a job that runs": (Rule.FITTING, rewritten(RUNNING, finished_at=at(1))),
    "a death without a cause": (Rule.FITTING, rewritten(GOOD["dead"], cause=None)),
    "a place in the line of a job that runs": (Rule.FITTING, rewritten(RUNNING, ready_at=at(1))),
    "a cancel request that outlived its job": (Rule.FITTING, rewritten(DONE, cancel_requested_at=at(1))),
    "an ending without a time": (Rule.FITTING, rerun(DONE, 1, ended_at=None)),
    "an invocation that failed without a cause": (Rule.FITTING, rerun(DONE, 1, cause=None)),
    "a claim without an invocation": (Rule.CLAIMS, rewritten(DONE, claim=3)),
    "a gap between claims": (Rule.CLAIMS, rewritten(replace(DONE, runs=[SECOND]), claim=2)),
    "invocations of a job that is not there": (Rule.CLAIMS, replace(DONE, jobs=[], accepted=[])),
    "an invocation of a later epoch": (Rule.CLAIMS, rerun(DONE, 2, epoch=2)),
    "two successes": (Rule.ENDINGS, rerun(DONE, 1, ending=Ending.SUCCEEDED)),
    "a result that nobody brought": (Rule.ENDINGS, rerun(DONE, 2, ending=Ending.RAISED)),
    "a result of a job that was never run": (
        Rule.ENDINGS,
        History(jobs=[job(JobState.SUCCEEDED, claim=0, attempt=0)]),
    ),
    "a death after success": (Rule.ENDINGS, rewritten(DONE, state=JobState.DEAD, result=None, cause=Cause(Ending.RAISED, ""))),
    "a job cancelled beside its result": (Rule.ENDINGS, rewritten(DONE, state=JobState.CANCELLED)),
    "a job that waits after its success": (Rule.ENDINGS, rewritten(DONE, state=JobState.READY, finished_at=None)),
    "a success that was sent again": (Rule.ENDINGS, rerun(SENT_AGAIN, 3, ending=Ending.SUCCEEDED)),
    "a job that died of something else": (Rule.ENDINGS, rewritten(GOOD["dead"], cause=Cause(Ending.CRASHED, "why"))),
    "an open invocation of a job that has ended": (Rule.OPEN, rerun(DONE, 2, ended_at=None, ending=None)),
    "two open invocations": (Rule.OPEN, rerun(RUNNING, 1, ended_at=None, ending=None)),
    "a running job that nobody runs": (Rule.OPEN, rerun(RUNNING, 2, ended_at=at(29), ending=Ending.RAISED)),
    "an attempt counted twice": (Rule.ATTEMPTS, rerun(DONE, 2, attempt=3)),
    "an attempt that was not charged": (Rule.ATTEMPTS, rerun(DONE, 2, attempt=1)),
    "a handing back that was charged": (Rule.ATTEMPTS, rerun(DONE, 1, ending=Ending.HANDED_BACK)),
    "a job that lost count": (Rule.ATTEMPTS, rewritten(DONE, attempt=1)),
    "more attempts than the budget has": (Rule.ATTEMPTS, rewritten(DONE, policy=Policy(attempts=1))),
    "claims that go on for ever without starting": (
        Rule.ATTEMPTS,
        replace(
            rewritten(NEVER_STARTED, claim=STARTS_MAX + 1),
            runs=[*UNSTARTED, run(STARTS_MAX + 1, Ending.CRASHED, attempt=1, started_at=None)],
        ),
    ),
    "an invocation that was opened too early": (Rule.ORDER, rerun(DONE, 2, opened_at=at(18))),
    "an invocation that was opened beside an open one": (Rule.ORDER, rerun(RUNNING, 1, ended_at=None, ending=None)),
    "two copies at work": (
        Rule.OVERLAP,
        replace(DONE, witnessed=[Witness(JOB, 2, 21.0, 28.0), Witness(JOB, 1, 11.0, 21.5)]),
    ),
    "a copy at work within a longer one": (
        Rule.OVERLAP,
        replace(SENT_AGAIN, witnessed=[Witness(JOB, 1, 11.0, 50.0), Witness(JOB, 2, 12.0, 13.0), Witness(JOB, 3, 49.0, 60.0)]),
    ),
    "one claim that was worked on twice": (
        Rule.OVERLAP,
        replace(DONE, witnessed=[Witness(JOB, 2, 21.0, 23.0), Witness(JOB, 2, 24.0, 28.0)]),
    ),
    "work without a claim": (Rule.OVERLAP, replace(DONE, witnessed=[Witness(JOB, 3, 21.0, 23.0)])),
    "a gap in a log": (Rule.LOGS, replace(DONE, chunks={FIRST.claim: [(0, 1), (2, 1)]})),
    "a log that does not begin at 0": (Rule.LOGS, replace(DONE, chunks={FIRST.claim: [(1, 2)]})),
    "lines that are there twice": (Rule.LOGS, replace(DONE, chunks={FIRST.claim: [(0, 2), (1, 2)]})),
    "a log without its last line": (Rule.LOGS, replace(DONE, chunks={FIRST.claim: [(0, 2)]})),
    "a log that grew after its end": (Rule.LOGS, replace(DONE, chunks={FIRST.claim: [(0, 3), (3, 1)]})),
    "a log of no invocation": (Rule.LOGS, replace(DONE, chunks={ClaimKey(JOB, 3): [(0, 1)]})),
    "a session that never was": (Rule.SESSIONS, rerun(DONE, 1, session=UUID(int=9))),
    "a job held by a session that was declared dead": (
        Rule.HOLDER,
        replace(RUNNING, sessions=[session(HOST_A, fenced_at=at(25))]),
    ),
    "a job held by a session that has ended": (Rule.HOLDER, replace(RUNNING, sessions=[session(HOST_A, ended_at=at(25))])),
    "a parent that is not there": (Rule.FAMILY, replace(child(parent=UUID(int=9)), jobs=child(parent=UUID(int=9)).jobs[1:])),
    "a child on the wrong floor": (Rule.FAMILY, child(depth=2)),
    "a root with a depth": (Rule.FAMILY, rewritten(DONE, depth=1)),
    "a child without a key": (Rule.FAMILY, child(child_key=None)),
    "a waiting child of a cancelled parent": (Rule.FAMILY, child(**LIVE)),
    "a child sent again before its parent was cancelled, and left": (Rule.FAMILY, child(**LIVE, epoch=2)),
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_a_sound_history_is_not_complained_about(history: History) -> None:
    findings = history.findings()

    assert not findings, "\n".join(map(str, findings))


@pytest.mark.parametrize(("rule", "history"), BAD.values(), ids=BAD)
def test_a_history_made_bad_is_found_out(rule: Rule, history: History) -> None:
    found = [finding for finding in history.findings() if finding.rule is rule]

    assert found
    assert all(str(finding).startswith("job 00000000-") and finding.text for finding in found)


def test_every_rule_has_a_bad_history_that_shows_it() -> None:
    shown = {rule for rule, _ in BAD.values()}

    assert shown == set(Rule)
    assert shown == {*CHECKS, Rule.ACCEPTED, Rule.SETTLED}


def test_an_open_log_may_be_ahead_of_the_count_that_was_read_before_it() -> None:
    ahead = replace(RUNNING, chunks={ClaimKey(JOB, 2): [(0, 4)]})
    behind = replace(RUNNING, chunks={ClaimKey(JOB, 2): [(0, 2)]})

    assert not ahead.findings()
    assert [finding.rule for finding in behind.findings()] == [Rule.LOGS]


def test_logs_that_were_not_read_are_not_judged() -> None:
    findings = examine(jobs=DONE.jobs, invocations=DONE.runs, sessions=DONE.sessions)

    assert not findings
