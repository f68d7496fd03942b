"""`heavyjobs show`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from heavyjobs.cli.common import as_json, common
from heavyjobs.cli.documents import job_document
from heavyjobs.cli.phrases import cost, facts, how_it_ended, place
from heavyjobs.cli.printing import cause_line, fact_lines, headline
from heavyjobs.cli.render import answer, clock, columns, dim, safe, safe_lines, to_json
from heavyjobs.cli.session import with_client
from heavyjobs.client import Client
from heavyjobs.model import Ending, InvocationRecord, JobRecord, Policy, short_id
from heavyjobs.units import show_bytes, show_seconds

_INDENT = "  "


@common
@click.command()
@click.argument("job", metavar="ID")
@as_json
def command(job: str, *, json_: bool) -> None:
    """Show all about a job.

    Its parameters, status, result or error, and how each attempt ended and what it cost.
    """
    record, invocations = with_client(lambda client: _read(client, job))
    if json_:
        answer(to_json(job_document(record, invocations)))
        return
    for line in _page(record, invocations):
        answer(line)


async def _read(client: Client, tail: str) -> tuple[JobRecord, Sequence[InvocationRecord]]:
    job = await client.find(tail)
    return await client.get(job), await client.invocations(job)


def _page(job: JobRecord, invocations: Sequence[InvocationRecord]) -> Iterator[str]:
    yield "  ".join(headline(job))
    yield ""
    yield from columns(list(_head(job)))
    yield from _section("parameters", facts(job.parameters))
    if invocations and not job.state.ended:
        yield from _section("status", facts(invocations[-1].status))
    yield from _section("result", facts(job.result))
    yield from _cause(job)
    yield from _section("error", facts(job.error))
    if invocations:
        yield from ("", dim("attempts"))
        yield from (_INDENT + line for line in columns([_attempt(invocation) for invocation in invocations]))


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


def _attempt(invocation: InvocationRecord) -> list[str]:
    began = clock(invocation.started_at or invocation.opened_at)
    return [str(invocation.attempt), place(invocation), began, how_it_ended(invocation), cost(invocation.bill, whole=True)]
