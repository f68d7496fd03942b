"""`heavyjobs show`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.phrases import cost, facts, how_it_ended, place
from heavyjobs.cli.printing import cause_line, fact_lines, headline
from heavyjobs.cli.render import answer, clock, columns, dim, paint, paint_state, safe, safe_lines, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.cli.unserved import unserved_now
from heavyjobs.client import Client
from heavyjobs.model import Ending, InvocationRecord, JobRecord, Policy, short_id
from heavyjobs.units import show_bytes, show_seconds

CHILDREN_MAX: Final = 20

_INDENT: Final = "  "


@common
@click.command()
@click.argument("job", metavar="ID")
@as_json
def command(job: str, *, json_: bool) -> None:
    """Show all about a job.

    Its parameters, status, result or error, how each attempt ended and what it cost, what it spawned; and why it waits, when
    nobody will run it.
    """
    found = with_client(lambda client: _read(client, job))
    if json_:
        answer(to_json(job_document(found.job, found.invocations)))
        return
    for line in _page(found):
        answer(line)


class _Found(NamedTuple):
    """All that is to be shown.

    Attributes:
        unserved: why nobody will run it, as lines.
        children: oldest first; at most `CHILDREN_MAX`, the newest of more.
    """

    job: JobRecord
    invocations: Sequence[InvocationRecord]
    children: Sequence[JobRecord]
    unserved: Sequence[str]


async def _read(client: Client, tail: str) -> _Found:
    job = await client.find(tail)
    record = await client.get(job)
    invocations = await client.invocations(job)
    children = await client.list(parent=job, limit=CHILDREN_MAX)
    return _Found(record, invocations, children[::-1], await unserved_now(client, record))


def _page(found: _Found) -> Iterator[str]:
    job, invocations = found.job, found.invocations
    yield "  ".join(headline(job))
    yield from (paint(line, "yellow") for line in found.unserved)
    yield ""
    yield from columns(list(_head(job)))
    yield from _section("parameters", facts(job.parameters))
    if invocations and not job.state.ended:
        yield from _section("status", facts(invocations[-1].status))
    yield from _section("result", facts(job.result))
    yield from _cause(job)
    yield from _section("error", facts(job.error))
    yield from _attempts(job, invocations)
    yield from _children(job, found.children)


def _head(job: JobRecord) -> Iterator[tuple[str, str]]:
    policy = job.policy
    yield "id", str(job.id)
    yield "version", str(job.version)
    yield "queue", f"{safe(policy.queue)}, priority {policy.priority}"
    yield "attempts", f"{job.attempt} of {policy.attempts}, {_backoff(policy)}"
    yield "limits", ", ".join(_limits(policy))
    yield "submitted", clock(job.created_at)
    if job.finished_at:
        yield "ended", clock(job.finished_at)
    if job.epoch > 1:
        yield "epoch", str(job.epoch)
    if job.unique_key is not None:
        yield "unique key", safe(job.unique_key)
    if job.parent is not None:
        yield "parent", f"{short_id(job.parent)}, as {safe(job.child_key or '')}"


def _backoff(policy: Policy) -> str:
    return f"backoff {show_seconds(policy.backoff_seconds)} up to {show_seconds(policy.backoff_max_seconds)}"


def _limits(policy: Policy) -> Iterator[str]:
    yield f"timeout {show_seconds(policy.timeout_seconds)}" if policy.timeout_seconds is not None else "no timeout"
    yield f"grace {show_seconds(policy.grace_seconds)}"
    yield f"{policy.cpus:g} CPU"
    yield f"memory {show_bytes(policy.memory_bytes)}" if policy.memory_bytes is not None else "any memory"


def _section(title: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    if pairs:
        yield from ("", dim(title), *fact_lines(pairs))


def _cause(job: JobRecord) -> Iterator[str]:
    if job.cause is not None and job.result is None:
        yield from ("", dim("cause"), _INDENT + cause_line(job))
        if job.cause.ending is not Ending.CANCELLED:  # where a cancel found the job is no fault of it
            yield from (_INDENT + line for line in safe_lines(job.cause.traceback or ""))


def _attempts(job: JobRecord, invocations: Sequence[InvocationRecord]) -> Iterator[str]:
    """The attempts, under a title for each epoch where there is more than one."""
    told = 0
    for invocation, line in zip(invocations, columns([_attempt(invocation) for invocation in invocations]), strict=True):
        if invocation.epoch != told:
            told = invocation.epoch
            yield from ("", dim("attempts" if job.epoch == 1 else f"attempts of epoch {told}"))
        yield _INDENT + line


def _children(job: JobRecord, children: Sequence[JobRecord]) -> Iterator[str]:
    if not children:
        return
    yield from ("", dim("children"))
    for line in columns([[short_id(child.id), safe(child.kind), paint_state(child.state)] for child in children]):
        yield _INDENT + line
    if len(children) == CHILDREN_MAX:
        yield f"{_INDENT}the newest {CHILDREN_MAX}; heavyjobs list --parent {short_id(job.id)} lists all"


def _attempt(invocation: InvocationRecord) -> list[str]:
    began = clock(invocation.started_at or invocation.opened_at)
    return [str(invocation.attempt), place(invocation), began, how_it_ended(invocation), cost(invocation.bill, whole=True)]
