"""Every statement on a hot path finds its rows through the index that is meant for it, and walks no table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from heavyjobs.store.sqlite.addresses import prepare
from heavyjobs.store.sqlite.connecting import connect
from heavyjobs.store.sqlite.migrating import MIGRATIONS, migrate, sentences
from heavyjobs.store.sqlite.sql import SQL

JOB = "heavyjobs_jobs USING PRIMARY KEY (id=?)"
INVOCATION = "heavyjobs_invocations USING PRIMARY KEY (job=? AND claim=?)"
SESSION = "heavyjobs_coordinators USING PRIMARY KEY (session=?)"
OPEN = "heavyjobs_invocations_open (session=?)"
READY = "heavyjobs_jobs USING COVERING INDEX heavyjobs_jobs_ready (queue=? AND kind=? AND version=? AND priority=? AND depth>?)"
CHILD = "heavyjobs_jobs USING INDEX heavyjobs_jobs_child (parent=? AND child_key=?)"
BAND = "heavyjobs_jobs USING COVERING INDEX heavyjobs_jobs_ready (queue=? AND kind=? AND version"

HOT: dict[str, list[str]] = {
    "submitted": [JOB],
    "parent_held": [JOB],
    "send_again": [CHILD, "owners USING COVERING INDEX heavyjobs_jobs_live_key (kind=? AND live_key=?)"],
    "note_spawn": [CHILD],
    "child_owner": [CHILD],
    "live_owner": ["heavyjobs_jobs USING INDEX heavyjobs_jobs_live_key (kind=? AND live_key=?)"],
    "next_due": ["heavyjobs_jobs USING COVERING INDEX heavyjobs_jobs_due"],
    "promote": [JOB, "heavyjobs_jobs USING COVERING INDEX heavyjobs_jobs_due (due_at"],
    "claimable": [SESSION, "heavyjobs_jobs USING COVERING INDEX heavyjobs_jobs_ready"],
    "claim_bands": [BAND, BAND, BAND, BAND],
    "claim_heads": ["CO-ROUTINE", READY],
    "claim_take": [JOB],
    "held": [OPEN, "jobs USING PRIMARY KEY (id=?)"],
    "checkpoint": [JOB],
    "holds": [JOB, SESSION],
    "session_unfenced": [SESSION],
    "read_back": ["invocations USING PRIMARY KEY (job=? AND claim=?)", "jobs USING PRIMARY KEY (id=?)"],
    "progress": [INVOCATION],
    "charge": [JOB],
    "count_logs": [INVOCATION],
    "end_invocation": [INVOCATION],
    "end_job": [JOB],
    "states": ["jobs USING PRIMARY KEY (id=?)"],
    "children_held": ["parent USING PRIMARY KEY (id=?)", "children USING"],
    "descendants": ["heavyjobs_jobs_child (parent=?)", "jobs USING PRIMARY KEY (id=?)"],
    "cancel_waiting": [JOB],
    "request_cancel": [JOB],
    "retry": [JOB],
    "update_job": [JOB],
    "tick": [SESSION],
    "lost_claims": [INVOCATION],
    "cancels": ["jobs USING PRIMARY KEY (id=?)"],
    "fence": [SESSION],
    "open_invocations": [OPEN, "jobs USING PRIMARY KEY (id=?)"],
    "end_session": [SESSION, OPEN],
    "jobs": ["jobs USING PRIMARY KEY (id=?)"],
    "list": ["heavyjobs_jobs USING PRIMARY KEY (id<?)"],
    "list_children": ["heavyjobs_jobs_child (parent=?)"],
    "briefs": ["jobs USING PRIMARY KEY (id=?)", "invocations USING PRIMARY KEY (job=? AND claim=?)"],
    "invocations": ["heavyjobs_invocations USING PRIMARY KEY (job=?)"],
    "logs": ["heavyjobs_logs USING INDEX sqlite_autoindex_heavyjobs_logs_1 (job=? AND claim=? AND first>?)"],
    "log_rows": ["heavyjobs_logs USING INDEX sqlite_autoindex_heavyjobs_logs_1 (job=? AND claim=? AND first>?)"],
    "wake": ["heavyjobs_wakeups USING PRIMARY KEY (topic=?)"],
}
COLD = {
    "schema_exists", "schema_version", "set_schema_version", "submit", "open_invocation", "append_logs", "register",
    "find",  # an id by its tail is looked for in all
    "other_sessions", "drain", "coordinators", "wakeups",  # small tables
}  # fmt: skip


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    prepare(tmp_path / "jobs.db", where="here")
    with closing(connect(tmp_path / "jobs.db")) as connection:
        migrate(connection, where="here")
        yield connection


@pytest.mark.parametrize("name", HOT)
def test_hot_statements_search_by_index_and_walk_no_table(connection: Connection, name: str) -> None:
    plan = _plan(connection, name)

    for use in HOT[name]:
        assert any(use in step for step in plan), (use, plan)
    # The next one due, and any one that is ready, is the first of its partial index.
    first = name in {"next_due", "claimable"}
    assert first or not [step for step in plan if re.match(r"SCAN (heavyjobs_\w+|jobs|invocations|children)\b", step)]


@pytest.mark.parametrize("name", ["claim_heads", "promote", "list", "invocations", "logs", "log_rows"])
def test_what_is_ordered_is_read_in_order_and_never_sorted(connection: Connection, name: str) -> None:
    assert not [step for step in _plan(connection, name) if "TEMP B-TREE" in step]


def test_every_statement_is_either_watched_here_or_known_to_be_cold(connection: Connection) -> None:
    assert set(HOT) | COLD == set(SQL)
    for name in COLD:
        assert _plan(connection, name) is not None


def test_a_script_is_split_into_all_its_sentences_whatever_they_contain() -> None:
    script = "-- a; b\nCREATE TABLE a (b TEXT DEFAULT ';\n;');\n\nINSERT INTO a VALUES ('x');\n"

    assert [sentence.strip().splitlines()[-1] for sentence in sentences(script)] == [";');", "INSERT INTO a VALUES ('x');"]
    for migration in MIGRATIONS.values():
        assert "".join(sentences(migration)) == migration


def _plan(connection: Connection, name: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", SQL[name]))
    return [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", parameters)]
