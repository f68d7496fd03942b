"""The machine that hunts through histories finds what it is there for: each of these bugs is planted, and must be found.

A plant that is not found says that the machine is too weak, not that the bug is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import pytest

from heavyjobs.model import JobState, after
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import End, LogChunk, Progress, Recorded
from heavyjobs.store.sqlite import SqliteStore, recording
from heavyjobs.testing.conformance import Backstage, OpenStore
from heavyjobs.testing.contract.machine import compare_with_reference
from tests.planted.planting import planted_attribute, planted_sql
from tests.store.backstage import PostgresBackstage, SqliteBackstage

pytestmark = pytest.mark.long

HISTORIES_MAX: Final = 300
"""Most bugs are found in the first ten, some in the third round of fifteen."""

FOUND: Final = "differs from the reference's:"
"""What the machine says when it has found something."""

ALIVE: Final = " AND fenced_at IS NULL AND ended_at IS NULL"

right_record: Final = recording.record


def outcome_without_its_last_lines(
    connection: Any, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
) -> Recorded:
    ending = {end.progress.claim for end in ends}
    kept = [chunk for chunk in logs if chunk.claim not in ending]
    return right_record(connection, session, progress=progress, logs=kept, ends=ends)


def cancelled_whatever_it_is(closing: recording.Closing) -> JobState:
    return JobState.CANCELLED if closing.cancel else closing.move.state


def charged_in_any_case(*args: Any, **values: Any) -> Any:
    return replace(after(*args, **values), charged=True)


Plant: TypeAlias = AbstractContextManager[None]


def sqlite(statement: str, old: str, new: str = "") -> Plant:
    return planted_sql("sqlite", statement, old, new)


def postgres(statement: str, old: str, new: str = "") -> Plant:
    return planted_sql("postgres", statement, old, new)


SQLITE: Final[dict[str, Sequence[Plant]]] = {
    "store: a write that is taken after its claim has ended": [
        sqlite("read_back", "invocations.ended_at, jobs.state", "NULL AS ended_at, jobs.state")
    ],
    "store: a forfeit that asks for no tick number": [sqlite("fence", " AND tick = :tick")],
    "store: a forfeit of whatever the session ever held": [
        sqlite("open_invocations", " AND invocations.ended_at IS NULL"),
        sqlite("end_job", " AND state = 'running'"),
        sqlite("end_invocation", " AND ended_at IS NULL"),
    ],
    "store: a forfeit of a session that has ended": [sqlite("fence", ALIVE)],
    "store: a forfeit that charges what never started": [
        planted_attribute("heavyjobs.store.sqlite.forfeiting.after", charged_in_any_case)
    ],
    "store: the fence skipped on tick": [sqlite("tick", ALIVE)],
    "store: the fence skipped on record": [
        planted_attribute("heavyjobs.store.sqlite.recording.make_sure_of", lambda _connection, _session: None)
    ],
    "store: the fence skipped on claim": [sqlite("claimable", ALIVE)],
    "store: an attempt charged twice": [sqlite("charge", " AND unstarted > 0")],
    "store: an attempt that is handed back is charged": [sqlite("end_job", "attempt = :attempt", "attempt = attempt")],
    "store: an outcome without its last lines": [
        planted_attribute("heavyjobs.store.sqlite.recording.record", outcome_without_its_last_lines)
    ],
    "store: log lines counted again when sent again": [
        sqlite("append_logs", "ON CONFLICT DO NOTHING", "ON CONFLICT DO UPDATE SET lines = excluded.lines")
    ],
    "store: news without a status wipe the status": [sqlite("progress", "coalesce(:status, status)", ":status")],
    "store: a unique key that its dead job keeps": [
        sqlite("end_job", "live_key = CASE WHEN :state IN ('scheduled', 'ready') THEN live_key END,")
    ],
    "store: a unique key that a cancelled job keeps": [sqlite("cancel_waiting", "live_key = NULL, ")],
    "store: a retry with the budget that is left": [sqlite("retry", "attempt = 0, unstarted = 0, ")],
    "store: a retry that does not start an epoch": [sqlite("retry", "epoch = epoch + 1, ")],
    "store: a cancel that forgets children": [
        sqlite("descendants", "children.parent = family.id", "children.parent = family.id AND 0")
    ],
    "store: a cancel that stops at children that ended": [
        sqlite("descendants", "children.parent = family.id", "children.parent = family.id AND children.finished_at IS NULL")
    ],
    "store: a cancel that undoes a success": [
        planted_attribute("heavyjobs.store.sqlite.recording.Closing.state", property(cancelled_whatever_it_is))
    ],
    "store: a cancel of children under an older claim": [sqlite("children_held", " AND parent.claim = :claim")],
    "store: a cancel of others than children": [sqlite("children_held", "children.parent = parent.id AND ")],
    "store: a promote of what is not due": [sqlite("promote", " AND due_at <= :now")],
    "store: a claim of a version that nobody here knows": [
        sqlite("claim_bands", "version <= :version", "version <= :version + 1")
    ],
    "store: a claim that does not raise the number of starts": [sqlite("claim_take", "unstarted = unstarted + 1, ")],
    "store: a spawn under an older claim": [sqlite("parent_held", " AND claim = :claim")],
    "store: a spawn under a job that is to stop": [sqlite("parent_held", " AND cancel_requested_at IS NULL")],
    "store: a spawn that revives what died under this claim": [
        sqlite("send_again", "coalesce(parent_claim, 0) < :claim", "coalesce(parent_claim, 0) <= :claim")
    ],
    "store: a checkpoint of an older claim": [sqlite("checkpoint", " AND claim = :claim")],
    "store: a claim that held forgets": [
        sqlite("held", "invocations.ended_at IS NULL", "invocations.ended_at IS NULL AND jobs.cancel_requested_at IS NULL")
    ],
    "store: a session that ends while it holds a job": [
        sqlite("end_session", "heavyjobs_invocations.session = :session AND", "0 AND")
    ],
}

POSTGRES: Final[dict[str, Sequence[Plant]]] = {
    "store: an end that asks for no claim number": [postgres("end_invocation", " AND invocation.claim = ends.claim")],
    "store: the fence skipped on every write": [postgres("session_unfenced", ALIVE)],
    "store: a cancelled job that is tried again": [
        postgres(
            "end_invocation",
            "WHEN closed.state <> 'succeeded' AND job.cancel_requested_at IS NOT NULL THEN 'cancelled'",
            "WHEN closed.state = 'dead' AND job.cancel_requested_at IS NOT NULL THEN 'cancelled'",
        )
    ],
    "store: a cancel that forgets what waits below": [
        postgres("cancel", "child.parent = family.id", "child.parent = family.id AND child.state = 'running'")
    ],
}


def cases(plants: dict[str, Sequence[Plant]]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.planted(name), id=name.removeprefix("store: ")) for name in plants]


def hunt(plants: Sequence[Plant], open_store: OpenStore, backstage: Backstage) -> None:
    """Run the machine on a store with these bugs: it must say what is wrong; the history need not be made short.

    The plants are entered outside: one that has rotted says so by an `AssertionError` too, which must not count.
    """
    with ExitStack() as planted:
        for plant in plants:
            planted.enter_context(plant)
        with pytest.raises(AssertionError, match=FOUND):
            compare_with_reference(open_store, backstage, examples=HISTORIES_MAX, shorten=False)


@pytest.mark.parametrize("bug", cases(SQLITE))
def test_the_machine_finds_in_sqlite(bug: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    hunt(SQLITE[bug], lambda options: SqliteStore(f"sqlite:///{path}", options), SqliteBackstage(path))


@pytest.mark.parametrize("bug", cases(POSTGRES))
def test_the_machine_finds_in_postgres(bug: str, empty_postgres_url: str) -> None:
    url = empty_postgres_url

    hunt(POSTGRES[bug], lambda options: PostgresStore(url, options), PostgresBackstage(url))


def test_a_plant_that_has_rotted_is_no_find(tmp_path: Path) -> None:
    path, rotten = tmp_path / "jobs.db", sqlite("fence", "THIS IS NOT THERE")

    with pytest.raises(AssertionError, match="replant"):
        hunt([rotten], lambda options: SqliteStore(f"sqlite:///{path}", options), SqliteBackstage(path))
