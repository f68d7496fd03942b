"""Archives are compared with what tar, unzip and zstd of the system say, not with our own reader."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import stat
import struct
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from heavyjobs.jobs import Convert, Pack, Progress
from heavyjobs.jobs.new_archive import Archived
from heavyjobs.jobs.trouble import (
    NotInstalled,
    Refused,
    SourceChanged,
    SourceMissing,
    TargetTaken,
    TargetUnusable,
    Trouble,
    Unreadable,
)
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing

FORMATS = ("tar", "tar.gz", "tar.zst", "zip")
Done = Inline[Archived, Progress, Trouble]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with what real folders have."""
    folder = tmp_path / "photos"
    (folder / "empty").mkdir(parents=True)
    (folder / "sub/deeper").mkdir(parents=True)
    (folder / "empty file").touch()
    (folder / "sub/ünïcode 日本 \N{PILE OF POO}").write_text("unicode")
    (folder / "sub/deeper" / ("long " + "n" * 240)).write_text("long name")
    (folder / "large").write_bytes(os.urandom(3 << 20))
    (folder / "text").write_bytes(b"compresses well\n" * 100_000)
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o751)
    (folder / "link").symlink_to("sub/deeper")
    os.utime(folder / "script", ns=(0, 1_500_000_000_123_456_789))
    os.utime(folder / "sub", ns=(0, 1_400_000_000_000_000_000))
    return folder


def pack(source: Path, target: Path, *, overwrite: bool = False) -> Done:
    return run_inline(Pack(source=str(source), target=str(target), overwrite=overwrite))


def convert(source: Path, target: Path, *, overwrite: bool = False) -> Done:
    return run_inline(Convert(source=str(source), target=str(target), overwrite=overwrite))


def unpacked(archive: Path, into: Path) -> Path:
    """Unpack with the programs of the system."""
    into.mkdir()
    argv = {
        ".zip": ["unzip", "-q", str(archive), "-d", str(into)],
        ".zst": ["tar", "--zstd", "-xf", str(archive), "-C", str(into)],
    }.get(archive.suffix, ["tar", "-xf", str(archive), "-C", str(into)])
    subprocess.run(argv, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return into


def refused_without_trace(folder: Path, run: Callable[[], Done]) -> tuple[Trouble | None, bool]:
    """The typed error of a job that must fail, which has to leave the folder as it was."""
    before = listing(folder)
    done = run()
    assert listing(folder) == before
    assert done.error is not None
    return done.error, done.retry


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_system_unpacks_is_what_was_packed(tmp_path: Path, photos: Path, form: str) -> None:
    target = tmp_path / f"photos.{form}"

    result = pack(photos, target).result

    copy = unpacked(target, tmp_path / "out") / "photos"
    assert listing(copy) == listing(photos)
    assert stat.S_IMODE((copy / "script").stat().st_mode) == 0o751
    assert int((copy / "script").stat().st_mtime) == 1_500_000_000
    assert int((copy / "sub").stat().st_mtime) == 1_400_000_000
    assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (result.bytes, result.format) == (target.stat().st_size, form)
    assert (result.members, result.files, result.skipped) == (11, 6, 0)
    assert result.content_bytes == (3 << 20) + 1_600_000 + len("unicode") + len("long name") + len("#!/bin/sh\n")


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_converts_to_every_other(tmp_path: Path, photos: Path, form: str, to: str) -> None:
    first = tmp_path / f"first.{form}"
    packed = pack(photos, first).result

    result = convert(first, tmp_path / f"second.{to}").result

    copy = unpacked(tmp_path / f"second.{to}", tmp_path / "out") / "photos"
    assert listing(copy) == listing(photos)
    assert stat.S_IMODE((copy / "script").stat().st_mode) == 0o751
    assert int((copy / "script").stat().st_mtime) == 1_500_000_000
    assert (result.members, result.files, result.content_bytes) == (packed.members, packed.files, packed.content_bytes)


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
def test_archives_of_the_systems_tar_are_read(tmp_path: Path, photos: Path, form: str) -> None:
    for style in ("gnu", "pax", "ustar" if form == "none" else "oldgnu"):
        source = tmp_path / f"{style}.{form}"
        subprocess.run(["tar", f"--format={style}", "-caf", source, "-C", photos, "."], check=True)

        convert(source, tmp_path / f"{style}.zip").result  # noqa: B018 - raises when it failed

        assert listing(unpacked(tmp_path / f"{style}.zip", tmp_path / f"out {style}")) == listing(photos)


def test_times_keep_their_nanoseconds_in_tar(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.tar.gz")
    convert(tmp_path / "a.tar.gz", tmp_path / "b.tar")

    copy = unpacked(tmp_path / "b.tar", tmp_path / "out") / "photos"
    assert (copy / "script").stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_a_single_file_is_packed_under_its_name(tmp_path: Path, photos: Path) -> None:
    pack(photos / "text", tmp_path / "a.zip")

    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["text"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_folder_and_an_empty_archive_are_fine(tmp_path: Path, photos: Path, form: str) -> None:
    result = pack(photos / "empty", tmp_path / f"a.{form}").result
    with tarfile.open(tmp_path / "source.tar", "w"):
        pass
    converted = convert(tmp_path / "source.tar", tmp_path / f"nothing.{form}").result

    assert (result.members, result.files) == (1, 0)
    assert listing(unpacked(tmp_path / f"a.{form}", tmp_path / "out")) == {"empty": "folder"}
    assert converted.members == 0
    assert convert(tmp_path / f"nothing.{form}", tmp_path / "again.tar").result.members == 0


def test_thousands_of_small_files(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number}").write_bytes(b"%d" % number)

    packed = pack(folder, tmp_path / "a.tar.zst").result
    converted = convert(tmp_path / "a.tar.zst", tmp_path / "a.zip").result

    assert packed.files == converted.files == 5000
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert all(opened.read(f"many/{number}") == b"%d" % number for number in range(5000))


def test_equal_folders_give_equal_archives(tmp_path: Path, photos: Path) -> None:
    for form in FORMATS:
        first, second = pack(photos, tmp_path / f"a.{form}").result, pack(photos, tmp_path / f"b.{form}").result
        assert first.sha256 == second.sha256


def test_hard_links_stay_links_in_tar_and_become_files_in_zip(tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "a").write_text("shared")
    for name in ("b", "c"):
        os.link(folder / "a", folder / name)

    packed = pack(folder, tmp_path / "a.tar").result
    pack(folder, tmp_path / "direct.zip")
    converted = convert(tmp_path / "a.tar", tmp_path / "a.zip").result

    with tarfile.open(tmp_path / "a.tar") as opened:
        assert [member.name for member in opened if member.islnk()] == ["linked/b", "linked/c"]
    assert packed.files == converted.files == 3
    for name in ("a.zip", "direct.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert [archive.read(f"linked/{letter}") for letter in "abc"] == [b"shared"] * 3


def test_symlinks_are_never_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to("../secret")
    (folder / "etc").symlink_to("/etc")
    (folder / "loop").symlink_to(".")

    for form in FORMATS:
        assert pack(folder, tmp_path / f"a.{form}").result.files == 0
        assert listing(unpacked(tmp_path / f"a.{form}", tmp_path / f"out {form}") / "folder") == listing(folder)


def test_an_archive_written_into_the_folder_it_packs_leaves_itself_out(tmp_path: Path, photos: Path) -> None:
    expected = listing(photos)

    pack(photos, photos / "a.tar.gz")
    again = pack(photos, photos / "a.tar.gz", overwrite=True).result

    assert again.files == 6
    assert listing(unpacked(photos / "a.tar.gz", tmp_path / "out") / "photos") == expected


def test_what_is_no_file_is_left_out_with_a_warning(tmp_path: Path, photos: Path) -> None:
    os.mkfifo(photos / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(photos / "socket"))
        done = pack(photos, tmp_path / "a.zip")

    assert done.result.skipped == 2
    assert any("left out photos/fifo" in line for line in done.log)


def test_an_archive_may_be_replaced_and_even_converted_in_place(tmp_path: Path, photos: Path) -> None:
    target = tmp_path / "a.zip"
    target.write_text("old")

    assert pack(photos, target, overwrite=True).error is None
    assert convert(target, target, overwrite=True).error is None
    assert len(zipfile.ZipFile(target).namelist()) == 11


def test_progress_counts_real_bytes_and_ends_complete(tmp_path: Path, photos: Path) -> None:
    statuses = pack(photos, tmp_path / "a.tar").statuses

    phases = list(dict.fromkeys(status.phase for status in statuses))
    assert phases == ["packing", "digesting"]
    assert statuses[-1].done == statuses[-1].total == (tmp_path / "a.tar").stat().st_size


# -- what can be wrong


@pytest.mark.parametrize("job", [pack, convert])
def test_a_missing_source_is_a_typed_error_that_is_not_retried(tmp_path: Path, job: Callable[[Path, Path], Done]) -> None:
    error, retry = refused_without_trace(tmp_path, lambda: job(tmp_path / "no", tmp_path / "a.zip"))

    assert isinstance(error, SourceMissing)
    assert not retry
    assert error.where == str(tmp_path / "no")


@pytest.mark.parametrize("name", ["a.rar", "a", "zip", "a.tar.zs", "a.tar.gz.txt"])
def test_a_target_of_no_known_format_says_which_there_are(tmp_path: Path, photos: Path, name: str) -> None:
    error, retry = refused_without_trace(tmp_path, lambda: pack(photos, tmp_path / name))

    assert isinstance(error, TargetUnusable)
    assert not retry
    assert ".tar.zst" in error.would_do


def test_targets_that_cannot_be_written_are_typed_errors(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "a.zip").write_text("old")
    (tmp_path / "folder.zip").mkdir()
    pack(photos, tmp_path / "source.tar")
    cases: dict[str, type] = {
        "a.zip": TargetTaken,
        "folder.zip": TargetTaken,
        "no such folder/a.zip": TargetUnusable,
        "n" * 300 + ".zip": TargetUnusable,
        "n" * 5000 + "/a.zip": TargetUnusable,
    }

    for name, expected in cases.items():
        for job, source in ((pack, photos), (convert, tmp_path / "source.tar")):
            error, retry = refused_without_trace(tmp_path, lambda: job(source, tmp_path / name))  # noqa: B023 - called at once
            assert isinstance(error, expected)
            assert not retry
    assert isinstance(pack(photos, tmp_path / "folder.zip", overwrite=True).error, TargetTaken)


def test_places_outside_of_the_locations_are_refused(tmp_path: Path, photos: Path) -> None:
    fleet = Locations({"media": str(photos)}, plain=False)

    for source, target in (("media:../x", "media:a.zip"), (str(photos), "media:a.zip"), ("media:sub", str(tmp_path / "a.zip"))):
        if source.startswith("media:.."):
            continue  # refused when the job is made
        error, retry = refused_without_trace(
            tmp_path,
            lambda: run_inline(Pack(source=source, target=target), locations=fleet),  # noqa: B023 - called at once
        )
        assert isinstance(error, Refused)
        assert not retry
        assert "plain paths are not allowed here" in error.what
    assert run_inline(Pack(source="media:sub", target="media:a.zip"), locations=fleet).result.path == str(photos / "a.zip")


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_cut_off_anywhere_is_unreadable(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}").write_bytes(os.urandom(700))
    whole = tmp_path / f"whole.{form}"
    pack(folder, whole)
    data = whole.read_bytes()
    # A tar is filled up with zeros, of which a missing part is no loss.
    content = 512 * (1 + 5 * (1 + 2)) + 512 * 6 if form == "tar" else len(data)
    cut = tmp_path / f"cut.{form}"

    for length in [*range(1, content, max(content // 40, 1)), content - 1]:
        cut.write_bytes(data[:length])
        error, retry = refused_without_trace(tmp_path, lambda: convert(cut, tmp_path / "out.tar.gz"))
        assert isinstance(error, Unreadable), length
        assert not retry


@pytest.mark.parametrize("form", FORMATS)
def test_a_flipped_byte_in_compressed_or_checked_data_is_found(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(b"some text that compresses, " * 1000 + os.urandom(5000))
    whole = tmp_path / f"whole.{form}"
    pack(tmp_path / "a", whole)
    data = bytearray(whole.read_bytes())
    position = 100 if form == "tar" else len(data) // 2  # a plain tar has sums over its headers only
    data[position] ^= 0xFF
    whole.write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(whole, tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.zst"])
@pytest.mark.parametrize("content", [b"", b"just a text\n" * 100, b"PK\3\4 not really" * 40, b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    error, retry = refused_without_trace(tmp_path, lambda: convert(tmp_path / name, tmp_path / "out.zip"))

    assert isinstance(error, Unreadable)
    assert not retry


def test_the_content_counts_and_not_the_name(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.zip")
    (tmp_path / "a.zip").rename(tmp_path / "a.tar.gz")

    assert convert(tmp_path / "a.tar.gz", tmp_path / "b.tar").result.members == 11


def tar_with(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as opened:
        for info in infos:
            opened.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


@pytest.mark.fault("security: an archive whose names lead out of it")
@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "..", "a\\..\\b", "C:\\a", "\\\\host\\a", "c:/a"])
@pytest.mark.parametrize("to", ["tar.zst", "zip"])
def test_names_that_escape_are_refused(tmp_path: Path, name: str, to: str) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("fine"), info(name))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        opened.writestr("fine", "")
        opened.writestr(zipfile.ZipInfo(name), "")

    for source in (tar, tmp_path / "evil.zip"):
        error, retry = refused_without_trace(tmp_path, lambda: convert(source, tmp_path / f"out.{to}"))  # noqa: B023
        assert isinstance(error, Refused)
        assert not retry


@pytest.mark.fault("security: an archive with a hard link that leads out of it")
def test_a_hard_link_to_outside_is_refused(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("a", tarfile.LNKTYPE, link="../../etc/passwd"))

    for to in ("zip", "tar"):
        error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / f"out.{to}"))  # noqa: B023
        assert isinstance(error, Refused)


def test_a_hard_link_to_nothing_cannot_become_a_file(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "a.tar", info("a", tarfile.LNKTYPE, link="missing"))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.zip"))

    assert isinstance(error, Unreadable)
    assert "missing" in error.what


@pytest.mark.fault("security: an archive with devices in it")
@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_fifos_are_refused(tmp_path: Path, kind: bytes) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("dev", kind))

    error, retry = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.tar"))

    assert isinstance(error, Refused | SourceMissing)
    assert not retry


def test_a_device_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        device = zipfile.ZipInfo("dev")
        device.create_system, device.external_attr = 3, (stat.S_IFCHR | 0o666) << 16
        opened.writestr(device, "")

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "evil.zip", tmp_path / "out.tar"))

    assert isinstance(error, Refused)


def test_a_name_that_comes_twice_goes_into_a_tar_and_not_into_a_zip(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "twice.tar", info("d", tarfile.DIRTYPE), info("d", tarfile.DIRTYPE), info("a", size=1), info("a"))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.zip"))

    assert isinstance(error, Refused)
    assert "comes twice" in error.what
    assert convert(tar, tmp_path / "out.tar").result.members == 4


def test_names_with_newlines_and_control_characters_are_kept_and_shown_on_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "new\nline \x1b[31mred").write_text("x")

    for form in FORMATS:
        pack(folder, tmp_path / f"a.{form}")
        done = convert(tmp_path / f"a.{form}", tmp_path / f"b.{form}")
        assert done.error is None
        assert all(status.item.isprintable() for status in done.statuses)
    with tarfile.open(tmp_path / "b.tar") as opened:
        assert opened.getnames() == ["odd", "odd/new\nline \x1b[31mred"]
    assert zipfile.ZipFile(tmp_path / "b.zip").namelist() == ["odd/", "odd/new\nline \x1b[31mred"]


def test_a_name_that_is_not_unicode_is_kept_in_tar_and_refused_for_zip(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_text("x")

    pack(folder, tmp_path / "a.tar.gz")
    copy = convert(tmp_path / "a.tar.gz", tmp_path / "b.tar")
    error, _ = refused_without_trace(tmp_path, lambda: pack(folder, tmp_path / "a.zip"))

    assert copy.error is None
    assert listing(unpacked(tmp_path / "b.tar", tmp_path / "out") / "odd") == listing(folder)
    assert isinstance(error, Refused)
    assert "not Unicode" in error.what


def test_encrypted_members_are_said_to_be_encrypted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("secret", "x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for header, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "a.zip", tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)
    assert "encrypted" in error.what


@pytest.mark.fault("security: an archive that unpacks to more than it holds")
def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("a", bytes(1000))
        opened.writestr("b", bytes(1000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # b's header is said to be a's
    (tmp_path / "a.zip").write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "a.zip", tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)
    assert "overlaps" in error.what


def test_what_follows_the_end_of_a_tar_is_not_lost_in_silence(tmp_path: Path) -> None:
    first, second = tar_with(tmp_path / "1.tar", info("a")), tar_with(tmp_path / "2.tar", info("b"))
    (tmp_path / "both.tar").write_bytes(first.read_bytes() + second.read_bytes())
    (tmp_path / "both.tar.gz").write_bytes(gzip.compress(first.read_bytes()) + gzip.compress(second.read_bytes()))

    for name in ("both.tar", "both.tar.gz"):
        error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / name, tmp_path / "out.zip"))  # noqa: B023
        assert isinstance(error, Unreadable)
        assert "after the end" in error.what


def test_compressed_streams_of_several_pieces_are_read_whole(tmp_path: Path) -> None:
    data = tar_with(tmp_path / "a.tar", info("a", size=100_000)).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data[:50_000]) + gzip.compress(data[50_000:]))

    assert convert(tmp_path / "a.tar.gz", tmp_path / "out.zip").result.content_bytes == 100_000


def test_a_sparse_file_becomes_a_whole_one(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    subprocess.run(["tar", "--sparse", "-cf", tmp_path / "a.tar", "-C", tmp_path, "sparse"], check=True)

    convert(tmp_path / "a.tar", tmp_path / "b.tar.gz")

    copy = unpacked(tmp_path / "b.tar.gz", tmp_path / "out")
    assert (copy / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()


@pytest.mark.fault("security: an archive whose header would fill the memory")
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    huge = info("pax", tarfile.XHDTYPE, size=1 << 40)
    (tmp_path / "evil.tar").write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + bytes(4096))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "evil.tar", tmp_path / "out.tar"))

    assert isinstance(error, Refused)


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_packed_is_retried(
    tmp_path: Path, photos: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(_: object, status: Progress) -> None:
        if status.item.endswith("/text"):
            with (photos / "text").open("r+b") as file:
                match change:
                    case "grow":
                        file.seek(0, os.SEEK_END)
                        file.write(b"more")
                    case "shrink":
                        file.truncate(10)
                    case _:
                        file.write(b"C")

    monkeypatch.setattr("heavyjobs.jobs.progress.REPORT_SECONDS", 0.0)
    monkeypatch.setattr("heavyjobs.context.Context.report", report)
    os.utime(photos / "text", (time.time() - 9, time.time() - 9))

    done = pack(photos, tmp_path / "a.tar")

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert not (tmp_path / "a.tar").exists()


def test_without_the_package_for_zstd_the_error_names_it(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("heavyjobs.jobs.codecs.importlib.import_module", missing)

    error, retry = refused_without_trace(tmp_path, lambda: pack(photos, tmp_path / "a.tar.zst"))

    assert isinstance(error, NotInstalled)
    assert retry
    assert error.would_do == "pip install heavyjobs[archives]"


def test_what_may_not_be_read_is_named(no_root: Path) -> None:
    (no_root / "folder/closed").mkdir(parents=True)
    (no_root / "folder/secret").touch(0)
    (no_root / "folder/open").write_text("x")
    (no_root / "folder/closed").chmod(0)

    closed = pack(no_root / "folder", no_root / "a.tar")
    inside = pack(no_root / "folder/closed/x", no_root / "a.tar")
    (no_root / "folder/closed").chmod(0o700)
    secret = pack(no_root / "folder", no_root / "a.tar")

    for done, name in ((closed, "folder/closed"), (inside, "folder/closed/x"), (secret, "folder/secret")):
        assert isinstance(done.error, SourceMissing)
        assert done.error.where.endswith(name)
        assert not done.retry
    assert [path.name for path in no_root.iterdir()] == ["folder"]
