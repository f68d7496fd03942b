"""The pooler for tests is a real pgbouncer, private, and gone afterwards."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import psycopg
import pytest

from heavyjobs.testing.pooler import Pooler, pooler
from heavyjobs.testing.postgres import PostgresServer, PostgresServerError, free_port
from tests.poolers import need_pgbouncer


@pytest.fixture(autouse=True, scope="module")
def found() -> None:
    need_pgbouncer()


def test_transactions_of_one_client_go_to_whatever_session_is_free_and_a_restart_keeps_the_address(
    postgres: PostgresServer,
) -> None:
    with pooler(postgres, settings={"default_pool_size": "1"}) as between:
        for _ in range(2):
            with _connected(between) as one, _connected(between) as other:
                one.execute("SET application_name = 'of one'")
                assert other.execute("SHOW application_name").fetchone() != ("",)
                assert one.execute("SELECT pg_backend_pid()").fetchone() == other.execute("SELECT pg_backend_pid()").fetchone()
            between.command("RECONNECT")
            between.restart()


def _connected(between: Pooler) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(between.url_of("postgres"), autocommit=True, prepare_threshold=None)


def test_a_port_that_somebody_took_meanwhile_is_left_to_him(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("heavyjobs.testing.pooler.free_port", lambda: next(ports))

        with pooler(postgres) as between:
            _connected(between).close()

    assert next(ports, None) is None, "it tried both"


def test_a_setting_that_it_refuses_is_told_with_its_log(postgres: PostgresServer) -> None:
    with pytest.raises(PostgresServerError, match="pool_mode"), pooler(postgres, settings={"pool_mode": "odd"}):
        pass


def test_nobody_comes_in_without_the_password(postgres: PostgresServer) -> None:
    with pooler(postgres) as between, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{between.port}/postgres", passfile="/dev/null")


def test_it_is_gone_when_its_process_is_killed(postgres: PostgresServer) -> None:
    program = (
        "import sys, time, types; from heavyjobs.testing.pooler import pooler\n"
        "with pooler(types.SimpleNamespace(url=sys.argv[1])) as between:\n"
        "    print(between.url_of('postgres'), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, postgres.url], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        url = killed.stdout.readline().strip()
        psycopg.connect(url).close()
        killed.kill()

    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            break
        time.sleep(0.05)
