"""A watched job tells everything once, in order, and a cursor takes the story up exactly where it was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

import pytest

from heavyjobs import Client, Handle, Idle, JobMismatch, JobState, Logged, LogLine, Reported, StateChanged, Update, UsageError
from tests.client.player import Bake, Baked, Baking, Burnt, Player

Story: TypeAlias = list[str]


def told(update: Update[Baking]) -> str:
    match update:
        case StateChanged(state, epoch, claim):
            return f"{state} {epoch}/{claim}"
        case Reported(status):
            return f"{status.degrees} degrees"
        case LogLine(claim, number, text=text):
            return f"{claim}:{number} {text}"
        case Idle():
            return "idle"


async def test_a_watched_job_tells_its_whole_life_in_order(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    watching = handle.watch()
    story: Story = []

    async def next_is(*expected: str) -> None:
        for one in expected:
            story.append(told(await anext(watching)))
            assert story[-1] == one

    await next_is("ready 1/0")
    first = await player.claim()
    await next_is("running 1/1")
    await player.say(first, "mixing", "kneading", status='{"degrees":100}')
    await next_is("100 degrees", "1:0 mixing", "1:1 kneading")
    await player.crash(first, again=True, says=["the oven fell"])
    await next_is("1:2 the oven fell", "ready 1/1")
    second = await player.claim()
    await next_is("running 1/2")
    await player.say(second, status='{"degrees":100}')
    await next_is("100 degrees")
    await player.succeed(second, says=["out of the oven"])
    await next_is("2:0 out of the oven", "succeeded 1/2")
    with pytest.raises(StopAsyncIteration):
        await anext(watching)


async def test_a_late_watcher_reads_the_logs_of_all_invocations_before_the_outcome(client: Client, player: Player) -> None:
    handle = await _twice_run(client, player)

    story = [told(update) async for update in handle.watch()]

    assert story == [
        "1:0 a", "1:1 b", "1:2 c", "200 degrees", "2:0 d", "2:1 e", "succeeded 1/2",
    ]  # fmt: skip


async def test_a_watch_resumed_at_any_cursor_loses_and_repeats_nothing(client: Client, player: Player) -> None:
    handle = await _twice_run(client, player)
    whole = [update async for update in handle.watch()]

    for seen, update in enumerate(whole, 1):
        rest = [later async for later in client.handle(handle.id, Bake).watch(since=update.cursor)]

        assert [told(later) for later in rest] == [told(later) for later in whole[seen:]]


async def test_a_live_watch_that_is_dropped_after_every_update_tells_each_thing_once(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    story: Story = []
    cursor: str | None = None

    async def until(is_last: Callable[[str], bool]) -> None:
        nonlocal cursor
        while not story or not is_last(story[-1]):
            update = await _first_of(handle.watch(since=cursor))
            story.append(told(update))
            cursor = update.cursor

    await until("ready 1/0".__eq__)
    claim = await player.claim()
    for batch in range(3):
        await player.say(claim, *(f"{batch}.{n}" for n in range(5)), status=f'{{"degrees":{batch}}}')
        await until(f"1:{batch * 5 + 4} {batch}.4".__eq__)
    await player.succeed(claim, says=["done"])
    await until("succeeded 1/1".__eq__)

    lines = [f"1:{batch * 5 + n} {batch}.{n}" for batch in range(3) for n in range(5)]
    assert [one for one in story if one.startswith("1:")] == [*lines, "1:15 done"]
    assert [one for one in story if "degrees" in one] == ["0 degrees", "1 degrees", "2 degrees"]
    assert [one for one in story if "/" in one] == ["ready 1/0", "running 1/1", "succeeded 1/1"]


async def test_a_finished_stream_resumed_at_its_end_says_nothing_until_the_job_is_sent_again(
    client: Client, player: Player
) -> None:
    handle = await client.submit(Bake())
    await player.fail(await player.claim(), says=["burnt"])
    end = [update async for update in handle.watch()][-1].cursor
    assert [update async for update in handle.watch(since=end)] == []

    await handle.retry()
    await player.succeed(await player.claim(), says=["better"])

    assert [told(update) async for update in handle.watch(since=end)] == ["2:0 better", "succeeded 2/2"]


async def test_silence_is_told_as_idle_with_the_same_cursor(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    watching = handle.watch(idle="50ms")

    first, second, third = [await anext(watching) for _ in range(3)]

    assert isinstance(first, StateChanged)
    assert second == third == Idle(first.cursor)
    await player.succeed(await player.claim())
    assert told([update async for update in watching][-1]) == "succeeded 1/1"


async def test_a_text_that_is_no_cursor_is_refused_at_once(client: Client) -> None:
    handle = await client.submit(Bake())

    with pytest.raises(UsageError, match="is not a cursor"):
        handle.watch(since="41; DROP TABLE jobs")


async def test_a_status_that_does_not_fit_its_class_ends_the_watch_with_a_clear_error(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    await player.say(await player.claim(), status='{"fahrenheit":1}')

    with pytest.raises(JobMismatch, match="does not fit its class any more"):
        async for _ in handle.watch():
            pass


async def test_logs_are_read_over_all_invocations_or_of_one(client: Client, player: Player) -> None:
    handle = await _twice_run(client, player)

    assert await _texts(handle.logs()) == ["a", "b", "c", "d", "e"]
    assert await _texts(client.logs(handle.id, claim=1)) == ["a", "b", "c"]
    assert await _texts(client.logs(handle.id, claim=2, follow=True)) == ["d", "e"]
    assert await _texts(client.logs(handle.id, claim=3, follow=True)) == []


async def test_logs_of_a_running_job_end_where_it_is_unless_they_are_followed(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    assert await _texts(handle.logs()) == []
    claim = await player.claim()
    await player.say(claim, "mixing")
    assert await _texts(handle.logs()) == ["mixing"]
    following = asyncio.create_task(_texts(handle.logs(follow=True)))
    following_one = asyncio.create_task(_texts(handle.logs(claim=1, follow=True)))

    await player.say(claim, "kneading")
    await player.crash(claim, again=True, says=["smoke"])
    assert await following_one == ["mixing", "kneading", "smoke"]
    second = await player.claim()
    await player.say(second, "mixing again")
    await player.succeed(second, says=["done"])

    assert await following == ["mixing", "kneading", "smoke", "mixing again", "done"]


async def test_a_long_log_is_read_whole_and_in_order(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    for batch in range(40):
        await player.say(claim, *(f"{batch * 250 + n}" for n in range(250)))
    await player.succeed(claim)

    lines = [line async for line in handle.logs()]
    resumed = [update async for update in handle.watch(since=_logged(lines[4321]).cursor)]

    assert [line.text for line in lines] == [str(n) for n in range(10_000)]
    assert [line.number for line in lines] == list(range(10_000))
    assert told(resumed[0]) == "1:4322 4322"
    assert len([update for update in resumed if isinstance(update, Logged)]) == 10_000 - 4322
    assert resumed[-1].cursor.startswith(f"1.{JobState.SUCCEEDED}.1.1.10000.")


async def _twice_run(client: Client, player: Player) -> Handle[Baked, Baking, Burnt]:
    handle = await client.submit(Bake())
    first = await player.claim()
    await player.say(first, "a", "b", status='{"degrees":100}')
    await player.crash(first, again=True, says=["c"])
    second = await player.claim()
    await player.say(second, "d", status='{"degrees":200}')
    await player.succeed(second, says=["e"])
    return handle


async def _texts(lines: AsyncGenerator[LogLine, None]) -> list[str]:
    return [line.text async for line in lines]


async def _first_of(updates: AsyncGenerator[Update[Baking], None]) -> Update[Baking]:
    async with aclosing(updates):
        return await anext(updates)


def _logged(line: LogLine) -> Logged:
    assert isinstance(line, Logged)
    return line
