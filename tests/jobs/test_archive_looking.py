"""What is said of archives, compared with what tar, unzip and sha256sum say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heavyjobs.jobs import ListArchive, Progress, VerifyArchive
from heavyjobs.jobs.archive_list import Listed
from heavyjobs.jobs.archive_verify import Verified
from heavyjobs.jobs.members import Sort
from heavyjobs.jobs.trouble import Refused, SourceChanged, SourceMissing, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from heavyjobs.values import RESULT_MAX_BYTES
from tests.jobs.archives import FORMATS, extract, info, pack, photos, tar_with
from tests.jobs.test_copy import copy

__all__ = ["photos"]


def list_(archive: Path, **options: Any) -> Inline[Listed, Progress, Trouble]:
    return run_inline(ListArchive(source=str(archive), **options))


def verify(archive: Path, **options: Any) -> Inline[Verified, Progress, Trouble]:
    return run_inline(VerifyArchive(source=str(archive), **options))


def said_by_the_system(archive: Path) -> list[str]:
    """The names in an archive."""
    argv = ["unzip", "-Z1"] if archive.suffix == ".zip" else ["tar", "--quoting-style=literal", "-tf"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    said = subprocess.run([*argv, str(archive)], capture_output=True, check=True, env=environment).stdout.decode()
    return [name.rstrip("/") for name in said.splitlines()]


@pytest.mark.parametrize("form", FORMATS)
def test_a_listing_has_the_names_that_the_system_lists(tmp_path: Path, photos: Path, form: str) -> None:
    archive = tmp_path / f"a.{form}"
    packed = pack(photos, archive).result

    listed = list_(archive).result

    assert [entry.name for entry in listed.entries] == said_by_the_system(archive)
    assert (listed.format, listed.bytes, listed.following) == (form, archive.stat().st_size, None)
    assert (listed.members, listed.files, listed.content_bytes) == (packed.members, packed.files, packed.content_bytes)
    script = next(entry for entry in listed.entries if entry.name == "photos/script")
    assert (script.sort, script.mode, script.bytes, int(script.mtime)) == (Sort.FILE, 0o751, 10, 1_500_000_000)
    assert next(entry.link for entry in listed.entries if entry.sort is Sort.SYMLINK) == "sub/deeper"


def test_a_long_listing_comes_in_pages(tmp_path: Path) -> None:
    tar_with(tmp_path / "a.tar", *(info(f"{number}") for number in range(25)))
    names: list[str] = []
    start: int | None = 0

    while start is not None:
        page = list_(tmp_path / "a.tar", start=start, limit=10).result
        names += [entry.name for entry in page.entries]
        start = page.following
        assert page.members == 25

    assert names == [str(number) for number in range(25)]


def test_a_listing_of_the_longest_names_fits_into_a_result(tmp_path: Path) -> None:
    longest = "\N{PILE OF POO}" * 60
    names = [f"{number:05}/" + "/".join([longest] * 30) for number in range(2000)]
    tar_with(tmp_path / "a.tar", *(info(name) for name in names))

    page = list_(tmp_path / "a.tar", limit=10_000).result

    assert page.following == len(page.entries) > 100
    assert page.members == 2000
    assert len(page.model_dump_json().encode()) < RESULT_MAX_BYTES
    assert list_(tmp_path / "a.tar", start=page.following, limit=1).result.entries[0].name.startswith(f"{page.following:05}/")


def test_a_listing_can_be_of_nothing(tmp_path: Path) -> None:
    tar_with(tmp_path / "a.tar", info("a"), info("b"))

    assert (list_(tmp_path / "a.tar", limit=0).result.entries, list_(tmp_path / "a.tar", limit=0).result.following) == ([], 0)
    assert list_(tmp_path / "a.tar", start=2).result.entries == []
    assert list_(tmp_path / "a.tar", start=99).result.following is None
    for wrong in ({"limit": 10_001}, {"limit": -1}, {"start": -1}):
        with pytest.raises(ValidationError):
            list_(tmp_path / "a.tar", **wrong)


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_archive_is_verified_with_the_digests_that_its_files_have(tmp_path: Path, photos: Path, form: str) -> None:
    os.link(photos / "text", photos / "sub/text again")
    archive = tmp_path / f"a.{form}"
    pack(photos, archive)

    verified = verify(archive).result

    extracted = extract(archive, tmp_path / "out").result
    copied = copy(tmp_path / "out", tmp_path / "copy").result
    assert verified.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert verified.content_sha256 == extracted.sha256 == copied.sha256
    assert (verified.members, verified.files) == (extracted.members, extracted.files) == (12, 7)
    assert verified.content_bytes == extracted.bytes


@pytest.mark.parametrize("form", FORMATS)
def test_damage_anywhere_in_the_content_is_found(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(os.urandom(20_000))
    archive = tmp_path / f"a.{form}"
    pack(tmp_path / "a", archive)
    whole = archive.read_bytes()
    digest = hashlib.sha256(whole).hexdigest()

    for place in range(700, 20_000, 3100):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        # The bytes of a plain tar have no sum: the digest that it should have finds it.
        done = verify(archive, sha256=digest) if form == "tar" else verify(archive)
        assert isinstance(done.error, Unreadable), place
        assert not done.retry


def test_the_digest_that_an_archive_should_have_is_compared(tmp_path: Path) -> None:
    tar_with(tmp_path / "a.tar", info("a"))
    digest = hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()

    assert verify(tmp_path / "a.tar", sha256=digest).result.sha256 == digest
    error = verify(tmp_path / "a.tar", sha256="0" * 64).error
    assert isinstance(error, Unreadable)
    assert digest in error.what
    with pytest.raises(ValidationError):
        verify(tmp_path / "a.tar", sha256="md5")


@pytest.mark.parametrize("job", [list_, verify])
def test_what_cannot_be_looked_at_is_a_typed_error(tmp_path: Path, job: Any) -> None:
    (tmp_path / "text.zip").write_text("just a text")
    evil = tar_with(tmp_path / "evil.tar", info("../a"))

    assert isinstance(job(tmp_path / "no").error, SourceMissing)
    assert isinstance(job(tmp_path).error, SourceMissing)
    assert isinstance(job(tmp_path / "text.zip").error, Unreadable)
    assert isinstance(job(evil).error, Refused)


@pytest.mark.parametrize("job", [list_, verify])
@pytest.mark.parametrize("change", ["grow", "cut"])
def test_an_archive_that_changes_while_it_is_read_is_tried_again(
    tmp_path: Path, job: Any, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tar_with(tmp_path / "a.tar", *(info(f"{number}", size=5000) for number in range(100)))

    def report(_: object, status: Progress) -> None:
        if status.phase in {"listing", "verifying"}:
            os.truncate(archive, 200_000 if change == "cut" else 2_000_000)

    monkeypatch.setattr("heavyjobs.context.Context.report", report)

    done = job(archive)

    assert isinstance(done.error, SourceChanged)
    assert done.retry


def test_a_hard_link_to_what_is_not_there_is_no_whole_archive(tmp_path: Path) -> None:
    error = verify(tar_with(tmp_path / "a.tar", info("a", tarfile.LNKTYPE, link="missing"))).error

    assert isinstance(error, Unreadable)
    assert "missing" in error.what
