"""Bugs that are seen only while two verbs run at once: some order of their steps must lead where none may."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import args_row

from heavyjobs.store.causes import cause_text
from heavyjobs.store.postgres.changing import Family, _cancelled
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.records import Claimed, Want
from heavyjobs.store.refusals import CANCELLED_WAITING
from heavyjobs.store.sqlite import SqliteStore, claiming
from tests.interleavings.pairs import PAIRS, Pair
from tests.interleavings.stages import Misplayed, Stage, postgres_stage, sqlite_stage
from tests.planted.planting import planted_attribute, planted_sql


@pytest.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[Stage]:
    async with postgres_stage(postgres_url) as stage:
        yield stage


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[Stage]:
    async with sqlite_stage(tmp_path) as stage:
        yield stage


async def _wrong(stage: Stage, state: str, one: str, other: str) -> str:
    """What is wrong in the first order of these two that ends as it may not."""
    pair = Pair(state, (one, other))
    try:
        outcomes = {*await stage.play_all(pair)} - PAIRS[pair]
    except Misplayed as misplayed:
        return str(misplayed)
    return "; ".join(" | ".join(outcome) for outcome in outcomes)


@pytest.mark.planted("a parent is looked at, but not kept, while its children are inserted")
async def test_children_of_a_parent_that_is_not_kept_from_ending_are_found_out(on_postgres: Stage) -> None:
    with planted_sql("postgres", "parent_held", "FOR NO KEY UPDATE", ""):
        assert "a family falls whole" in await _wrong(on_postgres, "running", "die", "spawn")


@pytest.mark.planted("a session is looked at, but not kept, while it writes")
async def test_a_session_that_is_fenced_while_it_writes_is_found_out(on_postgres: Stage) -> None:
    with planted_sql("postgres", "session_unfenced", "FOR KEY SHARE", ""):
        assert "wait for each other" in await _wrong(on_postgres, "running", "finish", "forfeit")


async def _looks_once(
    talk: Talk, jobs: Collection[UUID], *, grace_seconds: float | None = None, falling: bool = False
) -> Family:
    """A cancel that does not look again for children that were spawned while it waited for their parent."""
    waiting = cause_text(CANCELLED_WAITING)
    rows = await talk.rows(
        "cancel", args_row(_cancelled), jobs=list(jobs), grace=grace_seconds, falling=falling, waiting=waiting
    )
    return Family({job: answer for job, answer, _ in rows}, frozenset(session for *_, session in rows if session is not None))


@pytest.mark.planted("a cancel does not look again after it waited")
async def test_a_cancel_that_misses_children_spawned_while_it_waited_is_found_out(on_postgres: Stage) -> None:
    with planted_attribute("heavyjobs.store.postgres.changing.cancel_family", _looks_once):
        assert "job running 1/1 cancel, child ready" in await _wrong(on_postgres, "running", "cancel", "spawn")


async def _looks_before_the_lock(
    self: SqliteStore, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
) -> Sequence[Claimed]:
    jobs = await self._reader.run(lambda db: claiming.look(db, session, wants, cpus=cpus, memory_bytes=memory_bytes))
    return await self._writer.write(lambda db: claiming.take(db, session, jobs, host=host), durable=True)


@pytest.mark.planted("a claim takes what it saw before it had the lock")
@pytest.mark.parametrize(("other", "words"), [("claim", "who runs, and only it"), ("cancel", "an end is the end")])
async def test_a_claim_that_takes_what_it_saw_before_it_had_the_lock_is_found_out(
    on_sqlite: Stage, other: str, words: str
) -> None:
    with (
        planted_attribute("heavyjobs.store.sqlite.store.SqliteStore.claim", _looks_before_the_lock),
        planted_sql("sqlite", "claim_take", "AND state = 'ready'", ""),
    ):
        assert words in await _wrong(on_sqlite, "ready", "claim", other)


class _Hasty(sqlite3.Connection):
    """Begins transactions as lightly as it can."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute("BEGIN" if sql == "BEGIN IMMEDIATE" else sql, parameters)


@pytest.mark.planted("a transaction takes the lock only when it writes, and nobody tries again")
async def test_a_transaction_that_has_to_upgrade_its_lock_is_found_out(tmp_path: Path) -> None:
    def once(_self: object, attempt: object, *, deadline: float) -> object:
        assert callable(attempt)
        return attempt()

    def hasty(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, factory=_Hasty)
        connection.row_factory = sqlite3.Row
        connection.create_function("unhex", 1, bytes.fromhex, deterministic=True)
        return connection

    with planted_attribute("heavyjobs.store.sqlite.connecting.connect", hasty):
        async with sqlite_stage(tmp_path) as stage:
            with planted_attribute("heavyjobs.store.sqlite.connecting.Reader._patiently", once):
                assert "still locked" in await _wrong(stage, "running", "cancel", "cancel")
