"""What a coordinator asks for: never more than it could start, and room that waiting parents gave goes to their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.coordinator.wants import LANE, Held, cpus_left, memory_left, wants
from heavyjobs.slots.probe import KindSeen
from heavyjobs.store.records import Want

CUT, WATCH = "film.cut", "film.watch"
KINDS = {CUT: KindSeen(version=2, waits=False), WATCH: KindSeen(version=1, waits=True)}


def held(
    queue: str = "films", *, depth: int = 0, cpus: float = 1.0, memory: int = 0, lane: bool = False, waiting: bool = False
) -> Held:
    return Held(queue=queue, depth=depth, cpus=cpus, memory_bytes=memory, lane=lane, waiting=waiting)


def rooms(found: list[Want]) -> dict[str, int]:
    return {want.line: want.room for want in found}


def asked(*running: Held, slots: int = 4, idle: int = 10, lane: int = 5, kinds: dict[str, KindSeen] = KINDS) -> dict[str, int]:
    return rooms([*wants(slots={"films": slots}, kinds=kinds, held=running, idle_workers=idle, lane_size=lane)])


def test_each_kind_is_asked_for_up_to_its_newest_version() -> None:
    found = wants(slots={"films": 4}, kinds=KINDS, held=[], idle_workers=10, lane_size=5)

    assert [(want.kind, want.version, want.line, want.room) for want in found] == [
        (CUT, 2, "films", 4),
        (WATCH, 1, LANE, 5),
    ]


def test_what_runs_takes_from_the_room_of_its_own_queue_or_of_the_lane() -> None:
    assert asked(held(), held(), held("other"), held(lane=True)) == {"films": 2, LANE: 4}


def test_a_full_coordinator_asks_for_nothing() -> None:
    assert asked(*[held()] * 4, *[held(lane=True)] * 5) == {}


def test_no_more_is_asked_for_than_there_are_warm_workers() -> None:
    assert asked(idle=1) == {"films": 1, LANE: 5}
    assert asked(idle=0) == {LANE: 5}


def test_the_room_of_a_waiting_parent_is_for_deeper_jobs_alone() -> None:
    parent = held(depth=3, waiting=True)

    found = wants(slots={"films": 1}, kinds={CUT: KindSeen(1, waits=False)}, held=[parent], idle_workers=1, lane_size=0)

    assert [(want.room, want.depth_min) for want in found] == [(1, 4)]


def test_a_waiting_job_on_the_lane_counts_against_no_bound() -> None:
    assert asked(*[held(lane=True, waiting=True)] * 50) == {"films": 4, LANE: 5}


def test_a_waiting_job_gives_its_processors_back_and_keeps_its_memory() -> None:
    running = [held(cpus=2, memory=100), held(cpus=3, memory=200, waiting=True)]

    assert (cpus_left(8, running), memory_left(1000, running)) == (6, 700)


@given(
    running=st.lists(st.builds(held, depth=st.integers(0, 3), waiting=st.booleans(), lane=st.booleans()), max_size=12),
    slots=st.integers(0, 6),
    idle=st.integers(0, 6),
)
def test_what_would_run_then_never_exceeds_slots_or_workers(running: list[Held], slots: int, idle: int) -> None:
    found = asked(*running, slots=slots, idle=idle)

    active = sum(not job.waiting and not job.lane for job in running)
    room = sum(amount for line, amount in found.items() if line != LANE)
    assert room <= idle
    assert room <= max(0, slots - active)
