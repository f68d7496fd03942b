"""What a coordinator writes about its claims, made of deeds and of where things stand."""

from __future__ import annotations

from collections.abc import Sequence

from heavyjobs.logs import encode_lines, join_lines
from heavyjobs.model import Bill, Cause, ClaimKey, Ending, Move, Policy, Source, after
from heavyjobs.store.records import End, LogChunk, Progress
from heavyjobs.testing.contract.machine.tokens import GRAIN_SECONDS, Deed, claim_key
from heavyjobs.testing.reference.tables import Tables
from heavyjobs.values import JsonText


def progress_of(tables: Tables, deeds: Sequence[Deed]) -> list[Progress]:
    return [_news(tables, deed) for deed in deeds if deed.apart or (deed.end is None and (deed.started or not deed.lines))]


def logs_of(tables: Tables, deeds: Sequence[Deed]) -> list[LogChunk]:
    """The next lines of each claim; with `again` after those that are stored already."""
    chunks = list[LogChunk]()
    for deed in deeds:
        stored = tables.logs.get(claim_key(deed.claim), ())
        chunks.extend(stored if deed.again else ())
        if deed.lines:
            chunks.append(_chunk(claim_key(deed.claim), stored[-1].first + stored[-1].lines if stored else 0, deed.lines))
    return chunks


def ends_of(tables: Tables, deeds: Sequence[Deed]) -> list[End]:
    return [_end(tables, deed, Ending(deed.end)) for deed in deeds if deed.end is not None]


def _news(tables: Tables, deed: Deed, *, silent: bool = False) -> Progress:
    """`silent` news say nothing but the bill: what came apart stands."""
    done = len(tables.invocations) + deed.claim[1]
    return Progress(
        claim=claim_key(deed.claim),
        slot=f"slot-{done % 2}",
        started_ago_seconds=GRAIN_SECONDS if deed.started and not silent else None,
        status=None if deed.status is None or silent else JsonText(deed.status),
        bill=Bill(float(done), done / 2, done, done, done),
    )


def _chunk(claim: ClaimKey, first: int, lines: int) -> LogChunk:
    written = [line for number in range(lines) for line in encode_lines(1.5, Source.STDOUT, None, f"line {first + number}")]
    return LogChunk(claim=claim, first=first, lines=len(written), data=join_lines(written))


def _end(tables: Tables, deed: Deed, how: Ending) -> End:
    good = how is Ending.SUCCEEDED
    return End(
        progress=_news(tables, deed, silent=deed.apart),
        ending=how,
        move=_move(tables, deed, how),
        result=JsonText(f"[{deed.claim[1]}]") if good else None,
        error=JsonText("{}") if how is Ending.FAILED else None,
        cause=None if good else Cause(how, "why", exit_code=deed.claim[1]),
        log_dropped_lines=deed.lines,
    )


def _move(tables: Tables, deed: Deed, how: Ending) -> Move:
    """As a coordinator decides it, by what it was told with its claim."""
    invocation, job = tables.invocations.get(claim_key(deed.claim)), tables.jobs.get(claim_key(deed.claim).job)
    return after(
        how,
        started=deed.started or (invocation is not None and invocation.started_at is not None),
        attempt=1 if invocation is None else invocation.attempt,
        unstarted=1 if job is None else max(job.unstarted, 1),
        policy=Policy() if job is None else job.record.policy,
        retry=deed.retry,
        jitter=float(deed.jitter),
    )
