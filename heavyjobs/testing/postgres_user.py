"""PostgreSQL refuses to run as root, so its programs are run as someone else then."""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class PostgresServerError(RuntimeError):
    """The throw-away server could not be started; says why, with the end of its log."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that the server runs as; None when it is the one we are."""

    uid: int | None
    gid: int | None

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, argv: list[str | Path], *, cwd: Path) -> None:
        groups = self._groups()
        done = subprocess.run(  # noqa: S603 - our own words
            argv, cwd=cwd, user=self.uid, group=self.gid, extra_groups=groups, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PostgresServerError(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout).strip()}")

    def start(self, argv: list[str | Path], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own words
                argv,
                cwd=cwd,
                user=self.uid,
                group=self.gid,
                extra_groups=self._groups(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is for the tests
            )

    def _groups(self) -> list[int] | None:
        return None if self.uid is None else []


def server_user() -> ServerUser:
    """Who PostgreSQL runs as: we, or in place of root `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return ServerUser(None, None)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return ServerUser(user.pw_uid, user.pw_gid)
    raise PostgresServerError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; add one")
