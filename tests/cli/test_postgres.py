"""The command line on PostgreSQL: nothing is changed by itself there."""

from __future__ import annotations

from heavyjobs.cli.exits import Exit
from tests.cli.stage import Stage


def test_a_database_without_tables_is_set_up_by_migrate_alone(stage: Stage, empty_postgres_url: str) -> None:
    environ = {"HEAVYJOBS_DATABASE__URL": empty_postgres_url}

    for command in (["list"], ["submit", "film.cut", "--source", "a"], ["run"]):
        refused = stage.run(*command, environ=environ)
        assert (refused.exit_code, refused.stdout) == (Exit.DATABASE, "")
        assert "heavyjobs migrate" in refused.stderr
    migrated = stage.run("migrate", environ=environ)
    submitted = stage.run("submit", "film.cut", "--source", "a", environ=environ)
    listed = stage.run("list", environ=environ)

    assert "schema none → 1" in migrated.stdout
    assert submitted.exit_code == Exit.OK
    assert submitted.stdout.split()[0] in listed.stdout
