"""Application code that both type checkers must accept, and whose types they must see; never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never, assert_never, assert_type
from uuid import UUID

from heavyjobs import (
    Cancelled,
    Cause,
    Client,
    Dead,
    Handle,
    Idle,
    Logged,
    LogLine,
    Reported,
    StateChanged,
    Succeeded,
    SyncClient,
    SyncHandle,
)
from tests.client.player import Bake, Baked, Baking, Burnt, Toast


async def results(client: Client, job_id: UUID) -> None:
    handle = await client.submit(Bake(), unique="bread:42", delay="10s")
    assert_type(handle, Handle[Baked, Baking, Burnt])
    assert_type(client.handle(job_id, Bake), Handle[Baked, Baking, Burnt])
    assert_type(await handle.result(timeout=25), Baked)
    assert_type(await handle.status(), Baking | None)

    plain = await client.submit(Toast())
    assert_type(plain, Handle[Baked, Never, Never])
    assert_type(await plain.result(), Baked)

    assert_type(await client.submit_many([Bake(), Bake()]), Sequence[Handle[Baked, Baking, Burnt]])
    assert_type(await client.submit_many([Bake(), Toast()]), Sequence[Handle[Any, Any, Any]])
    assert_type(client.handle(job_id), Handle[Any, Any, Any])
    assert_type(await client.submit_kind("film.make", {"title": "M"}), Handle[Any, Any, Any])


async def outcomes(handle: Handle[Baked, Baking, Burnt]) -> str:
    assert_type(await handle.cancel(grace="10s"), Succeeded[Baked] | Dead[Burnt] | Cancelled)
    assert_type(await handle.cancel(wait=False), Succeeded[Baked] | Dead[Burnt] | Cancelled | None)
    match await handle.wait(timeout=25):
        case Succeeded(result):
            assert_type(result, Baked)
            return f"{result.loaves} loaves"
        case Dead(error, cause):
            assert_type(error, Burnt | None)
            assert_type(cause, Cause)
            return error.smoke if error else "crashed"
        case Cancelled():
            return "cancelled"
        case None:
            return "still going"


async def stream(handle: Handle[Baked, Baking, Burnt], cursor: str | None) -> None:
    async for update in handle.watch(since=cursor, idle="15s"):
        assert_type(update.cursor, str)
        match update:
            case StateChanged(state):
                print(state)  # noqa: T201
            case Reported(status):
                assert_type(status, Baking)
            case LogLine():
                assert_type(update, Logged)
                assert_type(update.text, str)
            case Idle():
                pass
            case _:
                assert_never(update)


def blocking(client: SyncClient) -> None:
    handle = client.submit(Bake())
    assert_type(handle, SyncHandle[Baked, Baking, Burnt])
    assert_type(handle.result(timeout="25s"), Baked)
    assert_type(handle.outcome(), Succeeded[Baked] | Dead[Burnt] | Cancelled | None)
    for update in handle.watch():
        if isinstance(update, Reported):
            assert_type(update.status, Baking)
