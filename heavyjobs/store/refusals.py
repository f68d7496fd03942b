"""What every store says when it refuses, or takes back, a job: one text for each mistake, whatever the database."""

from __future__ import annotations

from typing import Final

from heavyjobs.errors import ClaimLost, WrongState
from heavyjobs.model import Cause, ClaimKey, Ending, JobRecord, JobState, short_id


def not_sent_again(job: JobRecord) -> WrongState:
    """Of `retry`, on a job that waits, runs or has succeeded."""
    return WrongState(f"job {short_id(job.id)} is {job.state}; only a dead or cancelled job can be sent again")


def key_taken(job: JobRecord) -> WrongState:
    """Of `retry`, on a job whose unique key a live one has."""
    return WrongState(
        f"job {short_id(job.id)}: another job of kind {job.kind} has its unique key {job.unique_key!r} now; "
        "let that one end, or cancel it"
    )


def not_changed(job: JobRecord) -> WrongState:
    """Of `update`, on a job that has ended, or that runs and was to be delayed."""
    if job.state is JobState.RUNNING:
        return WrongState(f"job {short_id(job.id)} is running; its delay can be changed only while it waits")
    return WrongState(f"job {short_id(job.id)} is {job.state}; only a job that has not ended can be changed")


def claim_lost(claim: ClaimKey) -> ClaimLost:
    """Of a write about an invocation that the caller no longer holds."""
    return ClaimLost(f"job {short_id(claim.job)}: claim {claim.number} is not held by this coordinator any more")


def no_more_children(claim: ClaimKey) -> ClaimLost:
    """Of `spawn`, under a claim that is lost, or when the job is to be cancelled."""
    return ClaimLost(
        f"job {short_id(claim.job)}: claim {claim.number} is not held by this coordinator any more, or the job is to stop; "
        "it gets no more children"
    )


CANCELLED_WAITING: Final = Cause(Ending.CANCELLED, "cancelled while it waited")
"""Why a job ended that no invocation of it was there to say it."""


def gone_silent(name: str, host: str) -> Cause:
    """Why an invocation ended whose coordinator was declared dead."""
    coordinator = name if name == host else f"{name} on {host}"
    return Cause(Ending.FORFEITED, f"the coordinator {coordinator} went silent and was declared dead")
