"""pgbouncer is fetched once, by anybody, from the archive that the machine's apt knows."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from heavyjobs.testing import pooler_binaries
from heavyjobs.testing.pooler_binaries import PoolerMissing, find_pgbouncer

APT: Final = all(map(shutil.which, ("apt-get", "apt-cache", "dpkg", "dpkg-deb")))

CONTROL: Final = """\
Package: pgbouncer
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a program of that name
"""

CONFIGURATION: Final = """
Dir::State::lists "{folder}/empty";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "root";
"""


@pytest.fixture
def cache(no_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an ordinary user, on a machine without a pgbouncer, whose apt has no lists and takes none from him."""
    archive = no_root / "archive"
    (archive / "empty").mkdir(0o555, parents=True)
    (archive / "sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    (archive / "apt.conf").write_text(CONFIGURATION.format(folder=archive))
    _package(archive)
    monkeypatch.setenv("APT_CONFIG", str(archive / "apt.conf"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(pooler_binaries, "CACHE", no_root / "cache")
    return no_root / "cache"


def _package(archive: Path) -> None:
    program = archive / "tree/usr/sbin/pgbouncer"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho whole\n")
    program.chmod(0o755)
    (archive / "tree/DEBIAN").mkdir()
    (archive / "tree/DEBIAN/control").write_text(CONTROL)
    package = archive / "pgbouncer_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", archive / "tree", package], check=True, capture_output=True)
    data = package.read_bytes()
    where = f"Filename: ./{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    (archive / "Packages").write_text(CONTROL + where)


@pytest.mark.skipif(not APT, reason="there is no apt here; run these tests on Debian")
def test_an_ordinary_user_fetches_it_although_the_machines_lists_are_empty_and_then_needs_no_archive(cache: Path) -> None:
    fetched = find_pgbouncer()

    assert subprocess.check_output(fetched.argv("--version"), text=True) == "whole\n"
    shutil.rmtree(cache.parent / "archive")
    assert find_pgbouncer() == fetched
    assert {left.name for left in cache.iterdir()} == {"lock", "unpacked"}


@pytest.mark.skipif(not APT, reason="there is no apt here; run these tests on Debian")
def test_a_fetch_that_was_killed_half_way_is_done_again(cache: Path) -> None:
    half = cache / "fetching/unpacked/usr/sbin/pgbouncer"
    half.parent.mkdir(parents=True)
    half.touch(mode=0o755)

    assert subprocess.check_output(find_pgbouncer().argv("--version"), text=True) == "whole\n"


def test_without_one_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pooler_binaries, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(PoolerMissing, match="apt install pgbouncer"):
        find_pgbouncer()
