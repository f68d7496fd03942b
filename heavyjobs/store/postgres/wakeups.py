"""The written form of wake-ups: a topic on each line, with its keys; without keys it means any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

from heavyjobs.store.records import Topic, WakeUp

PAYLOAD_MAX_BYTES: Final = 7900
"""PostgreSQL takes less than 8,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one transaction has to say, and to whom.

    Attributes:
        ready: queues with new work.
        jobs: jobs with news.
        control: sessions that should tick now.
    """

    ready: Collection[str] = ()
    jobs: Collection[UUID] = ()
    control: Collection[UUID] = ()


def written(news: News) -> str:
    """The payload of one notification, empty when there is nothing to say; were it too long, the most keys are left out."""
    lines = {
        Topic.READY: " ".join(sorted({quote(queue, safe="") for queue in news.ready})),
        Topic.JOBS: " ".join(str(job) for job in news.jobs),
        Topic.CONTROL: " ".join(str(session) for session in news.control),
    }
    lines = {topic: keys for topic, keys in lines.items() if keys}
    while sum(len(keys) + 10 for keys in lines.values()) > PAYLOAD_MAX_BYTES:
        lines[max(lines, key=lambda topic: len(lines[topic]))] = ""
    return "\n".join(f"{topic} {keys}".rstrip() for topic, keys in lines.items())


def read(payload: str) -> list[WakeUp]:
    """The wake-ups in a payload. Lines that this release does not know are passed over."""
    wakeups: list[WakeUp] = []
    for line in payload.splitlines():
        topic, _, keys = line.partition(" ")
        if topic in set(Topic):
            wakeups.append(WakeUp(Topic(topic), frozenset(unquote(key) for key in keys.split())))
    return wakeups
