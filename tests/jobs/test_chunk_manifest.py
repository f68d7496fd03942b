"""Manifests are input: whatever stands in one, reading it ends in a manifest that is right or in a typed refusal."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs.chunks.manifest import Manifest, entry_line, opened_manifest
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import SourceChanged, Stopped, Unreadable
from tests.jobs.chunking import MEBIBYTE, join, noise, split, write_manifest
from tests.jobs.folders import listing

A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
TWO: list[dict[str, Any]] = [{"offset": 0, "bytes": 1, "sha256": A}, {"offset": 1, "bytes": 1, "sha256": B}]


def read(path: Path) -> list[tuple[int, int, str]]:
    """All that it names."""
    with opened_manifest(path, where="manifest", meter=Meter(lambda _: None)) as manifest:
        return [(listed.entry.offset, listed.entry.bytes, listed.entry.sha256) for listed in manifest.listed(manifest.start)]


def refused(path: Path) -> str:
    with pytest.raises(Stopped) as stopped:
        read(path)
    assert isinstance(stopped.value.trouble, Unreadable)
    return str(stopped.value)


def test_a_right_manifest_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", TWO)

    assert read(tmp_path / "m") == [(0, 1, A), (1, 1, B)]


def test_its_digest_is_what_the_programs_of_the_system_say(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(noise(MEBIBYTE))
    split(tmp_path / "file", tmp_path)

    said = subprocess.run(f"sed '$d' {tmp_path}/manifest | sha256sum", shell=True, capture_output=True, text=True, check=True)  # noqa: S602

    assert json.loads((tmp_path / "manifest").read_text().splitlines()[-1])["lines_sha256"] == said.stdout.split()[0]


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ({"sha256": "../../../etc/passwd"}, "sha256"),
        ({"sha256": "/etc/passwd"}, "sha256"),
        ({"sha256": f"{'0' * 62}/."}, "sha256"),
        ({"sha256": A.upper()}, "sha256"),
        ({"sha256": A + "\n"}, "sha256"),
        ({"sha256": A[:63] + "\0"}, "sha256"),
        ({"sha256": A[:63]}, "sha256"),
        ({"sha256": A[:63] + "٣"}, "sha256"),
        ({"sha256": None}, "sha256"),
        ({"sha256": [A]}, "sha256"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": -1}, "bytes"),
        ({"bytes": (16 << 20) + 1}, "bytes"),
        ({"bytes": 10**400}, "bytes"),
        ({"bytes": 1.0}, "bytes"),
        ({"bytes": "1"}, "bytes"),
        ({"bytes": True}, "bytes"),
        ({"bytes": float("nan")}, "bytes"),
        ({"offset": 0}, "overlaps"),
        ({"offset": 2}, "gap"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63}, "offset"),
        ({"offset": 10**400}, "offset"),
        ({"path": "elsewhere"}, "path"),
        ({"\x1b[2J\r": 1}, "x1b"),
        ({"sha256": "0" * 2000}, "longer than 1024 bytes"),
    ],
)
def test_a_line_that_lies_is_refused_by_its_number(tmp_path: Path, chunk: dict[str, Any], words: str) -> None:
    write_manifest(tmp_path / "m", [TWO[0], {**TWO[1], **chunk}])

    said = refused(tmp_path / "m")

    assert "manifest line 3" in said
    assert words in said
    assert len(said) < 1000
    assert said.isprintable()


@pytest.mark.parametrize(
    "head",
    [
        {"format": "heavyjobs.other"},
        {"version": 2},
        {"version": True},
        {"digest": "md5"},
        {"algorithm": {"name": "buzhash"}},
        {"algorithm": {"name": "fixed", "chunk_bytes": 10**30}},
        {"also": 1},
    ],
)
def test_another_format_or_version_is_refused(tmp_path: Path, head: dict[str, Any]) -> None:
    write_manifest(tmp_path / "m", TWO, head=head)

    assert "is not a manifest of chunks that this release reads" in refused(tmp_path / "m")


@pytest.mark.parametrize(
    "tail",
    [{"chunks": 1}, {"chunks": 3}, {"bytes": 1}, {"bytes": 3}, {"bytes": 10**400}, {"lines_sha256": A}, {"lines_sha256": "x"}],
)
def test_sums_that_are_wrong_are_refused(tmp_path: Path, tail: dict[str, Any]) -> None:
    write_manifest(tmp_path / "m", TWO, tail=tail)

    assert "manifest line 4" in refused(tmp_path / "m")


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\0" * 5000, b"[" * 1000 + b"\n", b"PK\3\4", b"\xff\xfe{\n"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)

    assert "is not a manifest" in refused(tmp_path / "m")


def test_one_without_its_end_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", TWO)
    whole = (tmp_path / "m").read_bytes()

    for size in range(len(whole)):
        (tmp_path / "m").write_bytes(whole[:size])
        refused(tmp_path / "m")


@pytest.mark.parametrize("order", [[1], [0, 0, 1], [1, 0], [0]])
def test_lines_that_were_lost_doubled_or_moved_are_refused(tmp_path: Path, order: list[int]) -> None:
    write_manifest(tmp_path / "m", TWO)
    head, *lines, tail = (tmp_path / "m").read_bytes().splitlines(keepends=True)
    (tmp_path / "m").write_bytes(b"".join([head, *(lines[number] for number in order), tail]))

    refused(tmp_path / "m")


@pytest.mark.parametrize("more", [b"\n", b"{}\n", b"\0", b'{"offset":2,"bytes":1,"sha256":"' + A.encode() + b'"}\n'])
def test_one_with_more_behind_its_end_is_refused(tmp_path: Path, more: bytes) -> None:
    write_manifest(tmp_path / "m", TWO)
    with (tmp_path / "m").open("ab") as file:
        file.write(more)

    refused(tmp_path / "m")


@given(at=st.integers(0), byte=st.integers(0, 255))
def test_no_byte_of_one_can_be_another(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    path = tmp_path_factory.getbasetemp() / "changed"
    write_manifest(path, TWO)
    changed = bytearray(path.read_bytes())
    at %= len(changed)
    if changed[at] == byte:
        byte = (byte + 1) % 256
    changed[at] = byte
    path.write_bytes(changed)

    refused(path)


def test_more_chunks_than_one_may_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path / "m", TWO)
    monkeypatch.setattr("heavyjobs.jobs.chunks.manifest.CHUNKS_MAX", 1)

    assert "more than the 1 that" in refused(tmp_path / "m")


def test_a_long_one_is_read_in_little_memory(tmp_path: Path) -> None:
    lines = [b'{"format":"heavyjobs.chunks","version":1,"digest":"sha256","algorithm":{"name":"fixed","chunk_bytes":1}}\n']
    lines += [entry_line(number, 1, A) for number in range(50_000)]
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    lines.append(b'{"chunks":50000,"bytes":50000,"lines_sha256":"%s"}\n' % digest.encode())
    (tmp_path / "m").write_bytes(b"".join(lines))

    tracemalloc.start()
    try:
        with opened_manifest(tmp_path / "m", where="m", meter=Meter(lambda _: None)) as manifest:
            count = sum(1 for _ in manifest.listed(manifest.start))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 50_000
    assert peak < 500_000 < (tmp_path / "m").stat().st_size


def test_one_that_is_written_to_while_it_is_read_is_told(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", TWO)

    with (tmp_path / "m").open("rb") as file:
        manifest = Manifest(file, where="m", meter=Meter(lambda _: None))
        with (tmp_path / "m").open("ab") as more:
            more.write(b"\n")
        with pytest.raises(Stopped) as stopped:
            list(manifest.listed(manifest.start))

    assert isinstance(stopped.value.trouble, SourceChanged)


def test_a_hostile_one_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "chunks").mkdir()
    write_manifest(tmp_path / "manifest", [{**TWO[0], "sha256": "../../../../../../../etc/hostname"}])
    before = listing(tmp_path)

    error = join(tmp_path, tmp_path / "out").error

    assert isinstance(error, Unreadable)
    assert listing(tmp_path) == before
