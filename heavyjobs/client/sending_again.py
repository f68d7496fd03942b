"""Send an ended job again, once, also when the answer is lost."""

from __future__ import annotations

from uuid import UUID

from heavyjobs.errors import StoreUnavailable, WrongState
from heavyjobs.model import JobRecord
from heavyjobs.store.patience import repeated
from heavyjobs.store.protocol import Store


async def send_again(store: Store, job: UUID, *, fresh: bool) -> JobRecord:
    """See `Handle.retry`. After a lost answer, an epoch that has grown says that it was done."""
    before = await repeated(lambda: store.get(job))
    unsure = False

    async def done() -> JobRecord | None:
        """The record of the job if an earlier try has sent it again, though nobody heard of it."""
        now = await store.get(job) if unsure else None
        return now if now and before and now.epoch > before.epoch else None

    async def send() -> JobRecord:
        nonlocal unsure
        if found := await done():
            return found
        try:
            return await store.retry(job, fresh=fresh)
        except StoreUnavailable:
            unsure = True
            raise
        except WrongState:
            if found := await done():  # the earlier try came through only now
                return found
            raise

    return await repeated(send)
