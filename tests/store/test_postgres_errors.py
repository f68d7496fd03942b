"""What people read when the database cannot be used: where, what, what would do, and never a password."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from heavyjobs.errors import ConfigurationError, HeavyjobsError, SchemaMismatch, StoreError, StoreUnavailable, Unstorable
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import Filter, StoreOptions
from heavyjobs.testing.contract.harness import register, submit, take, want
from heavyjobs.testing.postgres import PostgresServer

SECRET = "hunter2-öß@/:"  # noqa: S105 - it must not be seen
ENCODED = "hunter2-%C3%B6%C3%9F%40%2F%3A"
QUICK = StoreOptions(timeout_seconds=2.0)


def _place(url: str) -> str:
    return url.rpartition("@")[2]


def _without_secret(error: BaseException) -> str:
    shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown
    assert "hunter2" not in shown
    return str(error)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{ENCODED}@host:port/db",
        f"postgresql://app:{ENCODED}@[::1/db",
        f"postgresql://app:{ENCODED}@host/db?nonsense=1",
        f"postgresql://host/db?password={ENCODED}&nonsense=1",
    ],
)
def test_a_url_that_is_none_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database URL: .*; write postgresql://") as caught:
        PostgresStore(url, StoreOptions())

    _without_secret(caught.value)


def test_a_wrong_url_without_secrets_is_told_with_its_fault() -> None:
    with pytest.raises(ConfigurationError, match="nonsense"):
        PostgresStore("postgresql://host/db?nonsense=1", StoreOptions())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://app:{ENCODED}@db.example:5433/jobs?sslmode=require", "postgresql://app@db.example:5433/jobs"),
        ("postgres://db.example/jobs", "postgresql://db.example/jobs"),
        (f"postgresql://app:{ENCODED}@a:1,b:2/jobs", "postgresql://app@a:1,b:2/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "postgresql://%2Frun%2Fpostgresql/jobs"),
    ],
)
def test_a_store_says_where_it_is_without_secrets(url: str, shown: str) -> None:
    assert PostgresStore(url, StoreOptions()).url == shown


async def _refused(url: str) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        async with PostgresStore(url, QUICK):
            pass
    return _without_secret(caught.value)


async def test_a_wrong_password_is_told_with_the_place_and_what_to_check(postgres_url: str) -> None:
    told = await _refused(f"postgresql://postgres:{ENCODED}@{_place(postgres_url)}")

    assert told.startswith(f"postgresql://postgres@{_place(postgres_url)}: ")
    assert "password authentication failed" in told
    assert told.endswith("check user and password")


async def test_a_missing_database_is_told_with_how_to_create_it(postgres: PostgresServer) -> None:
    told = await _refused(postgres.url_of("no where"))

    assert 'database "no where" does not exist' in told
    assert told.endswith("or create it: createdb 'no where'")


async def test_a_port_where_nobody_listens_is_told_as_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

        told = await _refused(f"postgresql://app:{ENCODED}@127.0.0.1:{port}/jobs")

    assert f"127.0.0.1:{port}" in told
    assert "refused" in told
    assert told.endswith("check host and port, and that the server runs")


@pytest.mark.fault("database: a host that takes connections and says nothing")
async def test_a_host_that_never_answers_is_given_up_in_time(silent_port: int) -> None:
    told = await _refused(f"postgresql://app:{ENCODED}@127.0.0.1:{silent_port}/jobs")

    assert "timeout" in told
    assert "firewalls" in told


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        yield silent.getsockname()[1]


async def test_a_name_that_is_no_host_is_told_as_such() -> None:
    told = await _refused(f"postgresql://app:{ENCODED}@no-such-host.invalid/jobs")

    assert "no-such-host.invalid" in told


async def test_a_server_that_only_reads_says_so_at_the_first_write(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(name)))

    async with PostgresStore(postgres_url, QUICK) as store:
        await store.check_schema()
        with pytest.raises(StoreUnavailable, match=r"submitting: .*read-only transaction; .*name the primary"):
            await submit(store)


async def test_a_user_without_rights_is_a_mistake_in_the_configuration(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute(sql.SQL("CREATE ROLE guest LOGIN PASSWORD {}").format(sql.Literal(SECRET)))

    async with PostgresStore(f"postgresql://guest:{ENCODED}@{_place(postgres_url)}", QUICK) as store:
        with pytest.raises(ConfigurationError, match=r"permission denied for schema heavyjobs; let the URL's user") as caught:
            await submit(store)

    _without_secret(caught.value)


async def test_working_before_migrating_says_to_migrate(empty_postgres_url: str) -> None:
    async with PostgresStore(empty_postgres_url, QUICK) as store:
        with pytest.raises(SchemaMismatch, match="run heavyjobs migrate"):
            await submit(store)


async def test_a_store_that_was_not_entered_says_to_enter_it(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="async with"):
        await submit(PostgresStore(postgres_url, QUICK))


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("08006", StoreUnavailable),
        ("40001", StoreUnavailable),
        ("57P03", StoreUnavailable),
        ("55P03", StoreUnavailable),
        ("57014", StoreUnavailable),
        ("53100", StoreUnavailable),
        ("22003", Unstorable),
        ("22P05", Unstorable),
        ("54000", Unstorable),
        ("23502", Unstorable),
        ("P0001", StoreError),
        ("58030", StoreError),
        ("XX001", StoreError),
    ],
)
async def test_only_what_may_pass_means_try_again_and_nothing_of_the_driver_gets_out(
    postgres_store: PostgresStore, postgres_url: str, code: str, ours: type[HeavyjobsError]
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = {}; END $$;"
                " CREATE TRIGGER fail BEFORE INSERT ON heavyjobs.jobs FOR EACH ROW EXECUTE FUNCTION fail()"
            ).format(sql.Literal(code))
        )

        with pytest.raises(HeavyjobsError, match="submitting: odd") as caught:
            await submit(postgres_store)
        connection.execute("DROP FUNCTION fail CASCADE")

    assert isinstance(caught.value, ours)
    assert isinstance(caught.value, StoreUnavailable) == (ours is StoreUnavailable)
    assert await postgres_store.get((await submit(postgres_store))[0]) is not None


async def test_a_value_that_only_the_driver_finds_odd_is_a_mistake_of_the_caller(postgres_store: PostgresStore) -> None:
    session = await register(postgres_store)
    [job] = await submit(postgres_store)

    for odd in ("a\0b", "\ud800"):
        with pytest.raises(Unstorable):
            await postgres_store.list(Filter(kinds=[odd]))
        with pytest.raises(Unstorable):
            await take(postgres_store, session, want(odd))
    with pytest.raises(Unstorable):
        await postgres_store.list(Filter(limit=2**70))

    assert await postgres_store.get(job) is not None
