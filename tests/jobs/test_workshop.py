"""Where pieces lie until they are joined, and who may still use them when an attempt has ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from heavyjobs import Client
from heavyjobs.context import Assignment, AsyncContext
from heavyjobs.coordinator import Coordinator
from heavyjobs.errors import ClaimLost
from heavyjobs.events import Request, Stop
from heavyjobs.jobs import ChunkedTranscode, Progress
from heavyjobs.jobs.trouble import NotInstalled, SourceChanged, Stopped, Trouble, Unreadable
from heavyjobs.jobs.workshop import folder_beside, kept_while_useful, new_mark, remove_folder, sweep_others
from heavyjobs.locations import Locations
from heavyjobs.model import ClaimKey, new_id
from heavyjobs.settings import Settings
from heavyjobs.store import open_store, options_of
from heavyjobs.values import JsonText
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import film, packaged_ffmpeg, pictures
from tests.lifecycle.hosts import configuration

JOB = UUID("0192f3a1-0000-7000-8000-123456789abc")
PREFIX = ".heavyjobs-0192f3a1000070008000123456789abc-1-"


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/srv/films/a.mp4", f"/srv/films/{PREFIX}77"),
        ("/a.mp4", f"/{PREFIX}77"),
        ("media:films/a.mp4", f"media:films/{PREFIX}77"),
        ("media:a.mp4", f"media:{PREFIX}77"),
        ("media:films/a:b.mp4", f"media:films/{PREFIX}77"),
        ("file:///srv/my%20films/a.mp4", f"file:///srv/my%20films/{PREFIX}77"),
    ],
)
def test_a_workshop_is_hidden_beside_its_target(target: str, place: str) -> None:
    assert folder_beside(target, JOB, "1-77") == place


def test_no_two_starts_of_the_work_share_a_workshop() -> None:
    assert len({new_mark(1) for _ in range(1000)}) > 990


def test_what_earlier_starts_have_left_is_swept_and_nothing_of_others(tmp_path: Path) -> None:
    kept = ("a.mp4", ".heavyjobs-0192f3a1000070008000cba987654321-1-77", f"{PREFIX}78")
    for name in (*kept, f"{PREFIX}77", f"{PREFIX}77.gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "piece").write_text("x")

    sweep_others(tmp_path, JOB, but="1-78")

    assert {path.name for path in tmp_path.iterdir()} == set(kept)


def test_a_workshop_that_is_gone_is_removed_in_peace(tmp_path: Path) -> None:
    remove_folder(tmp_path / "no")

    assert listing(tmp_path) == {}


def context(*, attempt: int, stop: Stop | None) -> AsyncContext[Progress, Trouble]:
    """Of the first or last of two attempts, asked to stop for that reason."""

    class Nobody:
        def __init__(self) -> None:
            self.stop = stop

        def report(self, status: JsonText) -> None: ...
        def log(self, text: str) -> None: ...
        def ask(self, request: Request) -> JsonText:
            raise AssertionError(request)

        async def ask_async(self, request: Request) -> JsonText:
            raise AssertionError(request)

        def shield(self) -> None:
            raise AssertionError

    assignment = Assignment(
        claim=ClaimKey(new_id(), attempt),
        kind="media.chunked_transcode",
        queue="default",
        attempt=attempt,
        attempts=2,
        epoch=0,
        depth=0,
        checkpoint=None,
    )
    job = ChunkedTranscode(source="/a", target="/b.mp4")
    return AsyncContext(assignment, Nobody(), job=job, locations=Locations({}, plain=True))  # type: ignore[arg-type]


def trouble(kind: type[Unreadable | SourceChanged | NotInstalled]) -> Stopped:
    return Stopped(kind(what="a", where="b", would_do="c"))


def ends_by(end: BaseException | None) -> None:
    if end is not None:
        raise end


@pytest.mark.parametrize(
    ("end", "stop", "first", "last"),
    [
        (asyncio.CancelledError(), Stop.CANCEL, False, False),
        (asyncio.CancelledError(), Stop.DRAIN, True, True),
        (ClaimLost("another's"), None, True, True),
        (trouble(Unreadable), None, False, False),
        (trouble(SourceChanged), None, False, False),
        (trouble(NotInstalled), None, True, False),
        (None, None, False, False),
    ],
    ids=["cancelled", "drained", "claim lost", "for good", "changed", "elsewhere", "done"],
)
async def test_a_workshop_outlives_an_attempt_only_for_another(
    tmp_path: Path, end: BaseException | None, stop: Stop | None, *, first: bool, last: bool
) -> None:
    for attempt, stays in ((1, first), (2, last)):
        folder = tmp_path / str(attempt)

        with suppress(BaseException):
            async with kept_while_useful(context(attempt=attempt, stop=stop), folder):
                (folder / "piece").write_text("x")
                ends_by(end)

        assert folder.exists() == stays
        assert not (tmp_path / f"{attempt}~").exists()


async def test_a_film_in_a_location_is_cut_where_no_plain_path_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", packaged_ffmpeg())
    (tmp_path / "media" / "films").mkdir(parents=True)
    source = film(tmp_path / "media" / "film.mp4", seconds=4)
    url = f"sqlite:///{tmp_path}/jobs.db"
    told = configuration(url, modules=("heavyjobs.jobs",), workers={"environment": ["HEAVYJOBS_FFMPEG"]})
    locations = {"plain_paths": False, "locations": {"media": {"url": str(tmp_path / "media")}}}
    settings = Settings.model_validate({**told, **locations})

    async with open_store(url, options_of(settings.database)) as store, Client.open(url) as client:
        await store.migrate()
        coordinator = Coordinator(settings, store)
        running = asyncio.create_task(coordinator.run())
        job = ChunkedTranscode(source="media:film.mp4", target="media:films/out.mp4", piece_seconds=1)
        made = await (await client.submit(job)).result(timeout=60)
        coordinator.stop()
        await running

    assert made.pieces > 1
    assert (made.target, made.path) == ("media:films/out.mp4", str(tmp_path / "media" / "films" / "out.mp4"))
    assert len(pictures(tmp_path / "media" / "films" / "out.mp4")) == len(pictures(source))
    assert set(listing(tmp_path / "media")) == {"film.mp4", "films", "films/out.mp4"}
