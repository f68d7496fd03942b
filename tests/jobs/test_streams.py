"""Compressed streams as other programs make them, and as those make them who mean harm."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import zlib
from pathlib import Path

import pytest

from heavyjobs.jobs import streams
from heavyjobs.jobs.streams import Codec, Compression, Damaged, Gunzip, unpacked
from heavyjobs.jobs.trouble import Refused
from tests.jobs.archives import extract, info, refused_without_trace, tar_with

PROGRAMS: dict[Compression, list[str]] = {
    "gzip": ["gzip", "-c"],
    "zstd": ["zstd", "-qc"],
    "xz": ["xz", "-c"],
    "bzip2": ["bzip2", "-c"],
}
TEXT = b"some text that compresses, and some that does not: " * 5000 + os.urandom(200_000)

both_gunzips = pytest.mark.parametrize("gunzip", ["isal", "zlib"], indirect=True)


def compressed(data: bytes, compression: Compression) -> bytes:
    """As the program of the system makes it."""
    return subprocess.run(PROGRAMS[compression], input=data, capture_output=True, check=True).stdout


def read(data: bytes, compression: Compression) -> bytes:
    return unpacked(io.BytesIO(data), compression).read()


@pytest.fixture
def gunzip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """gzip read by either library."""
    if request.param == "zlib":
        monkeypatch.setattr(streams, "gzip_codec", lambda: Codec(Gunzip, zlib.error))
    else:
        assert streams.gzip_codec().new is not Gunzip, "the tests need isal"


@pytest.mark.parametrize("compression", PROGRAMS)
def test_what_the_programs_of_the_system_compress_is_read(compression: Compression) -> None:
    assert read(compressed(TEXT, compression), compression) == TEXT


@pytest.mark.parametrize("compression", PROGRAMS)
def test_streams_one_after_the_other_are_read_to_the_last(compression: Compression) -> None:
    data = b"".join(compressed(part, compression) for part in (b"one", b"", TEXT, b"two"))

    assert read(data, compression) == b"one" + TEXT + b"two"


@pytest.mark.parametrize("compression", PROGRAMS)
@pytest.mark.parametrize("size", [1, 7, 511, 1 << 17])
def test_it_makes_no_difference_in_which_pieces_it_is_read(compression: Compression, size: int) -> None:
    raw = unpacked(io.BytesIO(compressed(TEXT[-5000:], compression) * 2), compression)

    assert b"".join(iter(lambda: raw.read(size), b"")) == TEXT[-5000:] * 2


@pytest.mark.parametrize("compression", PROGRAMS)
def test_zeros_after_the_end_are_let_through_and_nothing_else(compression: Compression) -> None:
    data = compressed(b"text", compression)

    assert read(data + bytes(300_000), compression) == b"text"
    with pytest.raises((Damaged, EOFError)):
        read(data + b"junk", compression)
    with pytest.raises((Damaged, EOFError)):
        read(data + bytes(300_000) + b"junk", compression)


@pytest.mark.parametrize("compression", PROGRAMS)
def test_an_end_that_comes_too_early_is_told(compression: Compression) -> None:
    data = compressed(b"text" * 100, compression)

    for length in range(len(data)):
        with pytest.raises((EOFError, Damaged)):
            read(data[:length], compression)


@both_gunzips
@pytest.mark.usefixtures("gunzip")
def test_gzip_is_read_alike_by_either_library() -> None:
    pieces = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(bytes(3 << 20))

    assert read(pieces, "gzip") == TEXT + bytes(3 << 20)


@both_gunzips
@pytest.mark.usefixtures("gunzip")
@pytest.mark.parametrize("place", [0, 2, -1, -5, -40])
def test_damage_to_gzip_is_found_by_either_library(place: int) -> None:
    data = bytearray(gzip.compress(TEXT))
    data[place] ^= 0x40

    with pytest.raises((Damaged, EOFError)):
        read(bytes(data), "gzip")


@both_gunzips
@pytest.mark.usefixtures("gunzip")
def test_a_bomb_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    codec = streams.gzip_codec()

    class Watched:
        def __init__(self) -> None:
            self._real = codec.new()

        eof = property(lambda self: self._real.eof)
        needs_input = property(lambda self: self._real.needs_input)
        unused_data = property(lambda self: self._real.unused_data)

        def decompress(self, data: bytes, max_length: int) -> bytes:
            nonlocal largest
            plain = self._real.decompress(data, max_length)
            largest = max(largest, len(plain))
            return plain

    monkeypatch.setattr(streams, "gzip_codec", lambda: Codec(Watched, codec.damage))
    stream = unpacked(io.BytesIO(gzip.compress(bytes(64 << 20))), "gzip")

    while stream.read(1 << 16):
        pass

    assert 0 < largest <= 1 << 20


@pytest.mark.fault("security: a compressed archive whose dictionary would fill the memory")
@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("a.tar.xz", ["xz", "-c", "--lzma2=dict=1GiB"]),
        ("a.tar.zst", ["zstd", "-qc", "--ultra", "--long=30", "--zstd=wlog=30"]),
    ],
)
def test_a_dictionary_that_would_fill_the_memory_is_refused(tmp_path: Path, name: str, argv: list[str]) -> None:
    tar = tar_with(tmp_path / "a.tar", info("zeros", size=300 << 20 if "zst" in name else 1 << 20))
    with tar.open("rb") as plain, (tmp_path / name).open("wb") as packed:
        subprocess.run(argv, stdin=plain, stdout=packed, check=True)
    tar.unlink()

    error, retry = refused_without_trace(tmp_path, lambda: extract(tmp_path / name, tmp_path / "out"))

    assert isinstance(error, Refused), error
    assert "too much memory" in error.what
    assert not retry


def test_xz_of_many_blocks_and_of_the_highest_level_is_read(tmp_path: Path) -> None:
    for argv in (["xz", "-c9e"], ["xz", "-c", "--block-size=64KiB", "-T2"]):
        data = subprocess.run(argv, input=TEXT, capture_output=True, check=True).stdout

        assert read(data, "xz") == TEXT
