"""What a family says over the pipe is cut into requests and answers that fit, nothing left out and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.children import batches_of, reads_of
from heavyjobs.events import CHILDREN_MAX, ENDS_MAX, SPAWN_MAX_BYTES, NewChild
from heavyjobs.model import Policy, new_id
from heavyjobs.values import JsonText


def child(size: int) -> NewChild:
    return NewChild(key="k", kind="tests.any", version=1, parameters=JsonText("x" * size), policy=Policy())


@given(st.lists(st.sampled_from([2, 1000, SPAWN_MAX_BYTES // 2, SPAWN_MAX_BYTES // 2 + 1, SPAWN_MAX_BYTES]), max_size=30))
def test_children_are_spawned_in_batches_that_fit_into_a_frame(sizes: list[int]) -> None:
    children = [child(size) for size in sizes]

    batches = [list(batch.children) for batch in batches_of(children)]

    assert [one for batch in batches for one in batch] == children
    assert all(len(batch) == 1 or sum(len(one.parameters) for one in batch) <= SPAWN_MAX_BYTES for batch in batches)


def test_many_small_children_are_spawned_in_as_few_batches_as_there_may_be() -> None:
    assert [len(batch.children) for batch in batches_of([child(2)] * (2 * CHILDREN_MAX + 1))] == [
        CHILDREN_MAX,
        CHILDREN_MAX,
        1,
    ]


def test_how_children_ended_is_read_in_batches() -> None:
    jobs = [new_id() for _ in range(2 * ENDS_MAX + 1)]

    reads = [list(request.jobs) for request in reads_of(jobs)]

    assert [len(read) for read in reads] == [ENDS_MAX, ENDS_MAX, 1]
    assert [job for read in reads for job in read] == jobs


def test_no_children_are_nothing_to_ask_for() -> None:
    assert batches_of([]) == []
    assert reads_of([]) == []
