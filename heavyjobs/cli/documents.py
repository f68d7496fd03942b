"""What is printed with --json: the records of the store, field by field, stored JSON embedded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heavyjobs.cli.render import as_dict
from heavyjobs.model import CoordinatorRecord, InvocationRecord, JobRecord


def job_document(job: JobRecord, invocations: Sequence[InvocationRecord] | None = None) -> dict[str, Any]:
    """A job, and its invocations where they were asked for."""
    document = as_dict(job, embedded=("parameters", "result", "error"))
    if invocations is not None:
        document["invocations"] = [invocation_document(invocation) for invocation in invocations]
    return document


def invocation_document(invocation: InvocationRecord) -> dict[str, Any]:
    document = as_dict(invocation, embedded=("status",))
    document["claim"] = invocation.claim.number
    return document


def coordinator_document(coordinator: CoordinatorRecord) -> dict[str, Any]:
    document = as_dict(coordinator)
    return {**as_dict(document.pop("session")), **document}
