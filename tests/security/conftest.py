"""Daemons whose jobs run as another user, where these tests run as root; as this one elsewhere, where the rest still holds."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from heavyjobs import Client
from heavyjobs.store import open_store
from tests.lifecycle.conftest import tested_by
from tests.lifecycle.hosts import Daemon
from tests.security.pythons import Python, for_everybody

__all__ = ["tested_by"]

ROOT: Final = os.geteuid() == 0
USER: Final = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
SECRETS: Final = {"PGPASSWORD": "zq9xv7", "AWS_SECRET_ACCESS_KEY": "zq9xv7", "DATABASE_URL": "zq9xv7", "TESTED_ALLOWED": "seen"}
WORK: Final = "tests.security.work"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user of the jobs may write to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, USER.pw_uid, USER.pw_gid)
        yield Path(folder)


@pytest.fixture
def scratch(place: Path) -> Path:
    """A folder for temporary files that all may write to, as /tmp."""
    place.chmod(0o1777)
    return place


def database(folder: Path) -> str:
    """A fresh, migrated one."""
    address = f"sqlite:///{folder}/jobs.db"

    async def migrate() -> None:
        async with open_store(address) as store:
            await store.migrate()

    asyncio.run(migrate())
    return address


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return database(tmp_path_factory.mktemp("database"))


@pytest.fixture
def own_url(tmp_path: Path) -> str:
    """Of one test alone."""
    return database(tmp_path)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client.open(url) as client:
        yield client


@pytest.fixture(scope="session")
def python() -> Iterator[str]:
    """What runs daemons, found by all of whom it may run jobs as."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o755)
        found = for_everybody(Path(folder)) if ROOT else Python(sys.executable, {})
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found.program


@pytest.fixture(scope="package")
def daemon(url: str, python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Its environment has secrets in it, its jobs run as `USER`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("daemon")
        daemon = Daemon(folder, url, python=python, modules=(WORK,), workers={"user": USER.pw_name})
    with daemon:
        yield daemon
