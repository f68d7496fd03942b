"""7z and rar that are damaged, encrypted, too large, or made to do harm: an error that says so, and nothing else."""

from __future__ import annotations

import ctypes.util
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs import VerifyArchive
from heavyjobs.jobs.foreign import child
from heavyjobs.jobs.foreign.frames import End, Found, Frames, Unsound
from heavyjobs.jobs.foreign.sums import Blake2sp
from heavyjobs.jobs.foreign.verdicts import explain_end
from heavyjobs.jobs.trouble import NotInstalled, Refused, Stopped, Unreadable
from heavyjobs.testing.inline import run_inline
from tests.jobs.archives import extract, photos, refused_without_trace
from tests.jobs.foreign import RARS, needs_libarchive, pack_7z, patch, py7zr, seven_zip
from tests.jobs.test_archive_looking import list_, verify

pytestmark = needs_libarchive

__all__ = ["photos"]

HUGE_DICTIONARY = b"\x21\x21\x01\x28"
"""LZMA2 with a dictionary of 4 GiB."""
ESCAPES = ["../x", "a/../../x", "/absolute", "C:\\x", "a\\..\\..\\x"]


def outcome(archive: Path) -> tuple[Any, ...]:
    """The typed error, or all that is said of it."""
    done = run_inline(VerifyArchive(source=str(archive)))
    if done.error is not None:
        assert isinstance(done.error, (Unreadable, Refused)), done.error
        assert not done.retry
        return ()
    return done.result.content_sha256, list_(archive).result.entries


@pytest.mark.fault("input: a bit of a 7z or rar is another")
@pytest.mark.parametrize("name", ["stored.7z", "lzma2.7z", "rar3-symlink-unix.rar", "rar5-subdirs.rar", "rar5-blake.rar"])
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path, name: str) -> None:
    if name.endswith(".7z"):
        (tmp_path / "in").mkdir()
        (tmp_path / "in/a").write_bytes(b"some text " * 20)
        (tmp_path / "in/link").symlink_to("a")
        pack_7z(tmp_path / "in", tmp_path / name, method=name.removesuffix(".7z"))
    whole = ((tmp_path if name.endswith(".7z") else RARS) / name).read_bytes()
    (tmp_path / "whole").write_bytes(whole)
    expected, draw = outcome(tmp_path / "whole"), random.Random(name)  # noqa: S311 - not for secrets

    for _ in range(25):
        flipped = bytearray(whole)
        flipped[at := draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / "flipped").write_bytes(flipped)

        assert outcome(tmp_path / "flipped") in ((), expected), f"byte {at}"


@pytest.mark.fault("input: a 7z or rar ends too early, anywhere")
@pytest.mark.parametrize("name", ["a.7z", "rar3-subdirs.rar", "rar5-subdirs.rar"])
def test_an_archive_that_is_cut_off_anywhere_is_an_error(tmp_path: Path, name: str) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"a": b"a" * 100}) if name == "a.7z" else RARS / name
    whole, cut = archive.read_bytes(), tmp_path / "cut"

    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        assert isinstance(list_(cut).error, Unreadable), length


@pytest.mark.parametrize("name", ["a.7z", "rar3-subdirs.rar", "rar5-subdirs.rar"])
def test_bytes_after_the_end_are_refused(tmp_path: Path, name: str) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"a": b"a"}) if name == "a.7z" else RARS / name
    (tmp_path / "longer").write_bytes(archive.read_bytes() + b"\0")

    error = list_(tmp_path / "longer").error

    assert isinstance(error, Unreadable)
    assert "1 more bytes after its end" in error.what


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rar3-comment-psw", "is encrypted"),
        ("rar3-comment-hpsw", "is encrypted"),
        ("rar5-psw", "is encrypted"),
        ("rar5-hpsw", "is encrypted"),
        ("rar3-vols.part3", "is a part of an archive that is in several files"),
        ("rar5-vols.part3", "is a part of an archive that is in several files"),
        ("rar3-solid", "RAR solid archive support unavailable"),
        ("rar5-dups", "is stored as a copy of another file"),
        ("rar15-comment", "no end mark"),
    ],
)
def test_a_rar_that_cannot_be_read_is_said_to_be_what_it_is(tmp_path: Path, name: str, what: str) -> None:
    error, retry = refused_without_trace(tmp_path, lambda: extract(RARS / f"{name}.rar", tmp_path / "out"))

    assert isinstance(error, Unreadable)
    assert what in error.what
    assert not retry


@pytest.mark.parametrize("headers", [False, True])
def test_an_encrypted_7z_is_refused_as_an_encrypted_zip_is(tmp_path: Path, photos: Path, *, headers: bool) -> None:
    archive = pack_7z(photos, tmp_path / "a.7z", password="x", header_encryption=headers)  # noqa: S106

    error = verify(archive).error

    assert isinstance(error, Unreadable)
    assert "is encrypted" in error.what
    assert error.would_do == "decrypt the archive first"


@pytest.mark.fault("security: names in a 7z lead out of it")
@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"good": b"good", name: b"evil"})

    error, retry = refused_without_trace(tmp_path, lambda: extract(archive, tmp_path / "out"))

    assert isinstance(error, Refused)
    assert not retry


@pytest.mark.fault("security: a symlink in a 7z or rar is a bridge to elsewhere")
def test_nothing_is_written_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "in/a/link").symlink_to("../../elsewhere")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as opened:
        opened.write(tmp_path / "in/a/link", "link")
        opened.writestr(b"evil", "link/evil")
    inside = seven_zip(tmp_path / "b.7z", {"a": b"1", "a/b": b"2"})

    for archive in (tmp_path / "a.7z", inside, RARS / "rar5-evil-symlink-traversal.rar"):
        for links in ("inside", "skip"):
            if links == "inside" or archive == inside:
                error, _ = refused_without_trace(tmp_path, lambda: extract(archive, tmp_path / "out", links=links))  # noqa: B023
                assert isinstance(error, Refused)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_bombs_are_stopped_by_what_they_become(tmp_path: Path) -> None:
    bomb = seven_zip(tmp_path / "a.7z", {"zeros": bytes(50 << 20)})
    many = seven_zip(tmp_path / "b.7z", {str(number): b"1" for number in range(10, 22)})

    by_bytes, _ = refused_without_trace(tmp_path, lambda: extract(bomb, tmp_path / "out", max_bytes="20MiB"))
    by_members, _ = refused_without_trace(tmp_path, lambda: extract(many, tmp_path / "out", max_members=10))

    assert isinstance(by_bytes, Refused)
    assert isinstance(by_members, Refused)
    assert bomb.stat().st_size < 100_000


@pytest.mark.fault("security: a 7z asks for more memory than its reader may have")
def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"a": b"a" * 100})
    whole = archive.read_bytes()
    at = whole.index(HUGE_DICTIONARY[:3])
    patch(archive, whole[at : at + 4], HUGE_DICTIONARY)

    error, retry = refused_without_trace(tmp_path, lambda: extract(archive, tmp_path / "out"))

    assert isinstance(error, Refused)
    assert "512 MiB" in error.what
    assert not retry


def test_a_host_without_libarchive_says_so_and_another_may_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"a": b"a"})

    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    missing = list_(archive)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libc.so.6")
    another = list_(archive)

    for done in (missing, another):
        assert isinstance(done.error, NotInstalled)
        assert "libarchive" in done.error.what
        assert done.retry


@pytest.mark.fault("security: a 7z or rar takes over what reads it")
def test_what_reads_it_can_open_neither_a_file_nor_a_socket() -> None:
    code = f"""
import importlib.util, socket, sys
spec = importlib.util.spec_from_file_location("child", {child.__file__!r})
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
child.limit()
child.close_the_door()
for attempt in (lambda: open("/etc/passwd"), lambda: open("/tmp/x", "w"), socket.socket):
    try:
        attempt()
    except OSError as error:
        sys.stdout.write(f"{{error.errno}} ")
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "24 24 24 "


@pytest.mark.parametrize("number", [11, 6, 24])
def test_an_archive_that_ends_its_reader_is_an_error_and_one_that_somebody_else_ended_is_not(number: int) -> None:
    with pytest.raises(Stopped) as stopped:
        explain_end(ProgramFailed(["child"], code=None, signal=number, tail=[]), "a.rar")
    with pytest.raises(ProgramFailed):
        explain_end(ProgramFailed(["child"], code=None, signal=9, tail=[]), "a.rar")

    assert isinstance(stopped.value.trouble, Unreadable)


def frame(letter: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">cI", letter, len(data)) + data


MEMBER = b'{"name":"YQ==","symlink":null,"hardlink":null,"type":32768,"mode":420,"size":3,"mtime_ns":0,"encrypted":false}'


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_are_the_same_however_the_bytes_arrive(size: int) -> None:
    whole = frame(b"M", MEMBER) + frame(b"D", b"abc") + frame(b"E") + frame(b"Z")
    frames = Frames(iter([whole[at : at + size] for at in range(0, len(whole), size)]))

    told = [frames.next() for _ in range(4)]

    assert isinstance(told[0], Found)
    assert told[0].name == "a"
    assert told[1:] == [b"abc", End.FILE, End.ARCHIVE]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"M",
        frame(b"Q"),
        frame(b"D"),
        frame(b"M", b"{}"),
        frame(b"M", MEMBER.replace(b"3", b"-3")),
        frame(b"M", MEMBER.replace(b"YQ==", b"?")),
        frame(b"D", b"abc")[:-1],
        frame(b"Z") + b"more",
        b"D" + (1 << 30).to_bytes(4, "big"),
    ],
)
def test_what_no_child_of_ours_would_say_is_not_believed(said: bytes) -> None:
    with pytest.raises(Unsound):
        Frames(iter([said] if said else [])).next()


def test_blake2sp_is_the_sum_that_its_authors_give() -> None:
    empty, long = Blake2sp(), Blake2sp()
    for at in range(0, 255, 100):
        long.update(bytes(range(255))[at : at + 100])

    # github.com/BLAKE2/BLAKE2, testvectors/blake2-kat.json, without a key: nothing, and the bytes 0 to 254
    assert empty.digest().hex() == "dd0e891776933f43c7d032b08a917e25741f8aa9a12c12e1cac8801500f2ca4f"
    assert len(long.digest()) == 32


def test_the_file_is_left_where_it_is(tmp_path: Path) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"a": os.urandom(1000)})
    before = (archive.read_bytes(), archive.stat().st_mtime_ns)

    extract(archive, tmp_path / "out")

    assert (archive.read_bytes(), archive.stat().st_mtime_ns) == before
