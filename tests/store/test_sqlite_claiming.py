"""The pure part of a claim: which of the candidates fit."""

from __future__ import annotations

from heavyjobs.store.sqlite.claiming import Candidate, choose

GIB = 1 << 30


def candidate(name: str, *, line: str = "x", cpus: float = 1.0, memory_bytes: int = 0) -> Candidate:
    return Candidate((0, 0, 0, name.encode()), line, cpus, memory_bytes)


def chosen(*candidates: Candidate, rooms: dict[str, int], cpus: float = 100.0, memory_bytes: int = 100 * GIB) -> str:
    return b"".join(choose(candidates, rooms, cpus=cpus, memory_bytes=memory_bytes)).decode()


def test_a_full_line_is_passed_over_for_another() -> None:
    jobs = [candidate("a"), candidate("b"), candidate("c", line="y"), candidate("d", line="y")]

    assert chosen(*jobs, rooms={"x": 1, "y": 1}) == "ac"


def test_a_job_that_two_lines_could_take_is_taken_once_and_fills_one_of_them() -> None:
    jobs = [candidate("a", line="deep"), candidate("a", line="x"), candidate("b", line="x")]

    assert chosen(*jobs, rooms={"deep": 1, "x": 1}) == "ab"


def test_a_job_for_which_one_line_is_full_goes_to_the_other() -> None:
    jobs = [candidate("a", line="deep"), candidate("b", line="deep"), candidate("b", line="x")]

    assert chosen(*jobs, rooms={"deep": 1, "x": 1}) == "ab"


def test_what_is_too_large_is_passed_over_and_smaller_ones_fill_the_rest() -> None:
    jobs = [
        candidate("a", cpus=2, memory_bytes=GIB),
        candidate("b", cpus=3, memory_bytes=0),
        candidate("c", cpus=1, memory_bytes=4 * GIB),
        candidate("d", cpus=1, memory_bytes=GIB),
        candidate("e", cpus=1, memory_bytes=GIB),
    ]

    assert chosen(*jobs, rooms={"x": 9}, cpus=4, memory_bytes=4 * GIB) == "ade"


def test_ten_tenths_of_a_cpu_are_one_cpu() -> None:
    jobs = [candidate(str(number), cpus=0.1) for number in range(10)]

    assert chosen(*jobs, rooms={"x": 99}, cpus=1.0) == "0123456789"


def test_nothing_more_is_read_once_all_lines_are_full() -> None:
    jobs = iter([candidate("a"), candidate("b"), candidate("c")])

    assert choose(jobs, {"x": 1}, cpus=9, memory_bytes=0) == [b"a"]
    assert next(jobs).job == b"b"
