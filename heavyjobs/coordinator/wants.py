"""Say what this coordinator could start now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heavyjobs.slots.probe import KindSeen
from heavyjobs.store.records import Claimed, Want

LANE: Final = "lane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that is held now, as far as bounds are concerned.

    Attributes:
        lane: whether it runs on the async lane.
        waiting: it awaits children: it counts against no bound but memory.
    """

    queue: str
    depth: int
    cpus: float
    memory_bytes: int
    lane: bool
    waiting: bool


def held_of(job: Claimed, *, lane: bool, waiting: bool) -> Held:
    """What a claimed job counts for."""
    policy = job.policy
    return Held(
        queue=policy.queue,
        depth=job.depth,
        cpus=policy.cpus,
        memory_bytes=policy.memory_bytes or 0,
        lane=lane,
        waiting=waiting,
    )


def wants(
    *, slots: Mapping[str, int], kinds: Mapping[str, KindSeen], held: Iterable[Held], idle_workers: int, lane_size: int
) -> Sequence[Want]:
    """The heads of the lines that could be served, one for each queue and kind; empty when all is full.

    A `def run` job needs a free slot of its queue. The room that a waiting parent gives back takes only deeper jobs than the
    shallowest such parent: its own family can go on, and no more parents come in to wait.
    """
    held = list(held)
    found: list[Want] = []
    lane_room = lane_size - sum(job.lane and not job.waiting for job in held)
    for queue, size in slots.items():
        here = [job for job in held if job.queue == queue and not job.lane]
        parked = [job for job in here if job.waiting]
        free = size - (len(here) - len(parked))
        own = min(idle_workers, max(0, free - len(parked)))
        given = min(idle_workers, max(0, free)) - own
        for kind, seen in kinds.items():
            if seen.waits:
                if lane_room > 0:
                    found.append(Want(queue=queue, kind=kind, version=seen.version, line=LANE, room=lane_room))
                continue
            if own > 0:
                found.append(Want(queue=queue, kind=kind, version=seen.version, line=queue, room=own))
            if given > 0:
                depth = 1 + min(job.depth for job in parked)
                line = f"{queue} below waiting parents"
                found.append(Want(queue=queue, kind=kind, version=seen.version, line=line, room=given, depth_min=depth))
    return found


def cpus_left(total: float, held: Iterable[Held]) -> float:
    """Processors that running jobs have not asked for; one that waits for children has given its own back."""
    return total - sum(job.cpus for job in held if not job.waiting)


def memory_left(total_bytes: int, held: Iterable[Held]) -> int:
    """Memory that jobs have not asked for; one that waits keeps its share."""
    return total_bytes - sum(job.memory_bytes for job in held)
