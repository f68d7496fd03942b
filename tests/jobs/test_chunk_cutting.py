"""Where files are cut; the cuts of today are those of tomorrow, or manifests would stop to share chunks."""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Sequence
from typing import Any

import pytest

from heavyjobs.jobs.chunks.cutting import Algorithm, FastCdc, Method, algorithm_for, cut
from tests.jobs.chunking import MEBIBYTE, noise

METHODS: list[Method] = ["fastcdc", "fixed"]


def sizes(data: bytes, algorithm: Algorithm) -> list[int]:
    return [len(chunk) for chunk in cut(io.BytesIO(data), algorithm)]


def sizes_by_the_paper(data: bytes, how: FastCdc) -> list[int]:
    """FastCDC one byte at a time, without the paper's trick of rolling two; only the random table is the package's."""
    tables: Any = importlib.import_module("pyfastcdc.py.constants")
    bits = round(math.log2(how.average_bytes))
    small, large = tables.MASKS[bits + how.normalization], tables.MASKS[bits - how.normalization]
    found, start = [], 0
    while start < len(data):
        rest = memoryview(data)[start : start + how.maximum_bytes]
        found.append(_first_cut(rest, how, tables.GEAR, small, large))
        start += found[-1]
    return found


def _first_cut(rest: memoryview, how: FastCdc, gear: Sequence[int], small: int, large: int) -> int:
    rolling = 0
    for position in range(how.minimum_bytes, len(rest)):
        rolling = ((rolling << 1) + gear[rest[position]]) % (1 << 64)
        if not rolling & (small if position < how.average_bytes else large):
            return position
    return len(rest)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, MEBIBYTE])
def test_the_chunks_are_all_of_it_in_order(method: Method, size: int) -> None:
    data = noise(size)

    chunks = [bytes(chunk) for chunk in cut(io.BytesIO(data), algorithm_for(method, 4096))]

    assert b"".join(chunks) == data
    assert all(chunks)


def test_fixed_chunks_have_that_size_but_the_last() -> None:
    assert sizes(noise(10_000), algorithm_for("fixed", 4096)) == [4096, 4096, 1808]


def test_fastcdc_cuts_where_the_paper_says() -> None:
    for seed, size in ((1, 300_000), (2, 299_999), (3, 5)):
        how = algorithm_for("fastcdc", 4096)
        assert isinstance(how, FastCdc)
        assert sizes(noise(size, seed=seed), how) == sizes_by_the_paper(noise(size, seed=seed), how)


def test_fastcdc_cuts_zeros_at_the_largest_size() -> None:
    assert sizes(bytes(10_240), FastCdc(minimum_bytes=64, average_bytes=256, maximum_bytes=1024)) == [1024] * 10


def test_fastcdc_cuts_as_it_did_when_this_was_written() -> None:
    assert sizes(noise(100_000), algorithm_for("fastcdc", 8192)) == GOLDEN_8_KIB
    assert sizes(noise(8 * MEBIBYTE), algorithm_for("fastcdc", MEBIBYTE)) == GOLDEN_1_MIB


@pytest.mark.parametrize("method", METHODS)
def test_after_any_boundary_the_rest_is_cut_as_in_the_whole(method: Method) -> None:
    data, how = noise(MEBIBYTE, seed=4), algorithm_for(method, 16 << 10)
    whole = sizes(data, how)

    for done in range(len(whole)):
        assert sizes(data[sum(whole[:done]) :], how) == whole[done:]


def test_an_insertion_moves_only_the_cuts_near_it() -> None:
    data, how = noise(4 * MEBIBYTE, seed=5), algorithm_for("fastcdc", 16 << 10)
    changed = data[:MEBIBYTE] + b"inserted" + data[MEBIBYTE:]

    before = {bytes(chunk) for chunk in cut(io.BytesIO(data), how)}
    after = [bytes(chunk) for chunk in cut(io.BytesIO(changed), how)]

    assert sum(chunk not in before for chunk in after) <= 3
    assert len(after) > 150


def test_a_reader_that_gives_little_at_a_time_changes_no_cut() -> None:
    class Dripping(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            return super().readinto(memoryview(buffer)[:777])

    for method in METHODS:
        how = algorithm_for(method, 8192)
        assert [len(chunk) for chunk in cut(Dripping(noise(100_000)), how)] == sizes(noise(100_000), how)


GOLDEN_8_KIB = [17431, 6102, 15616, 3897, 11512, 12708, 8718, 11766, 12250]
GOLDEN_1_MIB = [1276868, 388073, 1278661, 1984349, 533051, 1277644, 545117, 1104845]
