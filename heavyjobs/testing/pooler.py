"""A real pgbouncer in front of a throw-away PostgreSQL, made for the occasion and gone afterwards.

    with pooler(server) as between:
        url = between.url_of("jobs")

It guarantees
- that nobody but this machine's user (and root) can use it: loopback, with the server's own password;
- that it is gone when the block ends, and when this process is killed: see `heavyjobs.testing.postgres`.

It assumes what `find_pgbouncer` finds or fetches. It refuses to run as root, and runs as the user that the server runs as.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, LiteralString
from urllib.parse import unquote, urlsplit

import psycopg

from heavyjobs.testing.pooler_binaries import Program, find_pgbouncer
from heavyjobs.testing.postgres import PostgresServer, free_port
from heavyjobs.testing.postgres_user import PostgresServerError, ServerUser, server_user

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
_PORT_TRIES: Final = 5

QUICK: Final[Mapping[str, str]] = {
    "pool_mode": "transaction",
    "default_pool_size": "10",
    "max_client_conn": "500",
    "server_login_retry": "0.2",
    "server_idle_timeout": "2",
}
"""Settings as an operator would have them, but quick to try again; what a caller gives goes before them."""

_WATCH: Final = """
cat >/dev/null
if read -r pid <"$1/pid"; then kill -KILL "$pid"; fi
rm -rf "$1"
"""


class Pooler:
    """A running pgbouncer; made by `pooler`."""

    def __init__(
        self, server: PostgresServer, *, base: Path, program: Program, owner: ServerUser, settings: Mapping[str, str]
    ) -> None:
        self.port = 0
        self._login: Final = urlsplit(server.url)
        self._base: Final = base
        self._program: Final = program
        self._owner: Final = owner
        self._settings: Final = {**QUICK, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def url_of(self, database: str) -> str:
        """A database of the server, by way of the pooler."""
        return self._url_at(self.port, database)

    @property
    def log(self) -> str:
        """What it wrote until now."""
        return (self._base / "log").read_text("utf-8", "replace")

    def command(self, words: LiteralString) -> None:
        """Say something to its console: PAUSE, RESUME, RECONNECT, KILL database."""
        with psycopg.connect(self.url_of("pgbouncer"), autocommit=True, cursor_factory=psycopg.ClientCursor) as console:
            console.execute(words)

    def start(self) -> None:
        """Start it, on the port it had before, or at first on a free one.

        Raises:
            PostgresServerError: with the end of its log.
        """
        for _ in range(_PORT_TRIES):
            port = self.port or free_port()
            if self._start(port):
                self.port = port
                return
        raise PostgresServerError(f"pgbouncer did not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Kill it: every connection through it is lost. Harmless when it is stopped."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
            self._process = None
            (self._base / "pid").unlink(missing_ok=True)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def _start(self, port: int) -> bool:
        """Whether it serves there: somebody else may have taken the port meanwhile."""
        argv = self._program.argv(self._write(port))
        self._process = self._owner.start(argv, cwd=self._base, log=self._base / "log")
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), psycopg.connect(self._url_at(port, "postgres"), connect_timeout=2):
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _url_at(self, port: int, database: str) -> str:
        user, _, _ = self._login.netloc.rpartition("@")
        return f"postgresql://{user}@127.0.0.1:{port}/{database}"

    def _write(self, port: int) -> Path:
        users, config = self._base / "users", self._base / "ini"
        login = f'"{self._login.username}" "{unquote(self._login.password or "")}"\n'
        own = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "admin_users": self._login.username or "",
            "pidfile": str(self._base / "pid"),
        }
        settings = "\n".join(f"{name} = {value}" for name, value in {**self._settings, **own}.items())
        for file, text in {
            users: login,
            config: f"[databases]\n* = host=127.0.0.1 port={self._login.port}\n\n[pgbouncer]\n{settings}\n",
        }.items():
            file.write_text(text)
            file.chmod(0o600)
            self._owner.own(file)
        return config


@contextmanager
def pooler(server: PostgresServer, *, settings: Mapping[str, str] | None = None) -> Generator[Pooler]:
    """Run a pgbouncer of one's own in front of `server` for the length of the block.

    Raises:
        PoolerMissing: none was found, and none could be fetched; says what would do.
        PostgresServerError: it did not start; says why.
    """
    owner, program = server_user(), find_pgbouncer()
    base = Path(tempfile.mkdtemp(prefix="heavyjobs-pooler-"))
    watcher = subprocess.Popen(  # noqa: S603 - our own words
        ["/bin/sh", "-c", _WATCH, "sh", base], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        owner.own(base)
        if owner.uid is not None:
            program = program.copied_to(base)
        between = Pooler(server, base=base, program=program, owner=owner, settings=settings or {})
        between.start()
        try:
            yield between
        finally:
            between.stop()
    finally:
        watcher.communicate()
