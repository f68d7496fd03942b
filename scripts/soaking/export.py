"""Write a database's whole content to a file of JSON objects, one a line: what a red soak leaves for whoever looks into it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter


async def export(store: Store, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:

        def write(table: str, row: object) -> None:
            assert dataclasses.is_dataclass(row)  # noqa: S101 - for the type checker
            assert not isinstance(row, type)  # noqa: S101 - for the type checker
            file.write(json.dumps({"table": table, **dataclasses.asdict(row)}, default=str) + "\n")

        for one in await store.coordinators(ended=True):
            write("coordinators", one)
        before = None
        while page := await store.list(Filter(before=before, limit=500)):
            for job in page:
                write("jobs", job)
                for run in await store.invocations(job.id):
                    write("invocations", run)
                    following = 0
                    while chunks := await store.logs(job.id, claim=run.claim.number, first=following):
                        for chunk in chunks:
                            write("logs", chunk)
                        following = chunks[-1].first + chunks[-1].lines
            before = page[-1].id
