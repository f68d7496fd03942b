"""The database that several reference stores share: its tables, its clock, and whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from heavyjobs.store.records import NewJob, Submitted, Topic
from heavyjobs.testing.reference import submitting
from heavyjobs.testing.reference.tables import Tables

T = TypeVar("T")


class ReferenceDatabase:
    """One database in memory; it lives as long as somebody names it.

    Attributes:
        clock: the time, with its zone; it is read once by each verb that writes.
        among_equals: in which order jobs start that are of one priority and depth, and became ready in one transaction; a
            protocol that says nothing about it leaves every store free.
    """

    def __init__(self, clock: Callable[[], datetime], *, name: str = "jobs") -> None:
        self.name: Final = name
        self.clock: Final = clock
        self.tables = Tables()
        self.among_equals: Callable[[UUID], int] = lambda job: job.int
        self.listeners: Final[list[Callable[[Topic], None]]] = []

    def write(self, verb: Callable[[Tables, datetime], T]) -> T:
        """Do a verb whole, or, when it raises, not at all."""
        draft = self.tables.copy()
        answer = verb(draft, self.clock())
        self.tables = draft
        for topic in draft.news:
            for tell in list(self.listeners):
                tell(topic)
        return answer


class ReferenceConnection:
    """An application's own connection: what is submitted on it exists for others once it commits.

    Sequential as everything here: a transaction locks nobody out, and what was submitted is submitted again when it commits.
    """

    def __init__(self, database: ReferenceDatabase) -> None:
        self.database: Final = database
        self._draft: Tables | None = None
        self._jobs: list[NewJob] = []

    def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        draft = (self._draft or self.database.tables).copy()
        answers = submitting.submit(draft, jobs, self.database.clock())
        self._draft = draft
        self._jobs.extend(jobs)
        return answers

    def commit(self) -> None:
        jobs = self._jobs
        self.rollback()
        if jobs:
            self.database.write(lambda tables, now: submitting.submit(tables, jobs, now))

    def rollback(self) -> None:
        self._draft, self._jobs = None, []

    def close(self) -> None:
        self.rollback()
