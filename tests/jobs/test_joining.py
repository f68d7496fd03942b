"""The children of a film in pieces, one by one: each finds out when what it was given is not what it should be."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs.children import share
from heavyjobs.jobs.chunked import lengths_of, longest_first, unfit_because
from heavyjobs.jobs.joining import Join, Joined
from heavyjobs.jobs.pieces import Part, Piece, Sound
from heavyjobs.jobs.presets import PresetName
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.survey import Survey, Surveyed
from heavyjobs.jobs.trouble import OutputWrong, SourceChanged, SourceMissing, Trouble, Unreadable
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.jobs.moving_pictures import film, packaged_ffmpeg, pictures


@pytest.fixture(autouse=True)
def packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", packaged_ffmpeg())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return film(tmp_path / "film.mp4", seconds=3)


@pytest.fixture
def surveyed(source: Path) -> Surveyed:
    return run_inline(Survey(source=str(source), piece_seconds=1)).result


def piece(source: Path, surveyed: Surveyed, folder: Path, number: int) -> Piece:
    return Piece(
        source=str(source),
        identity=surveyed.identity,
        folder=str(folder),
        number=number,
        part=surveyed.pieces[number],
        tick=surveyed.tick,
        rate=surveyed.rate,
        preset="mp4-h264-aac",
    )


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    (tmp_path / "workshop").mkdir()
    return tmp_path / "workshop"


@pytest.fixture
def parts(source: Path, surveyed: Surveyed, workshop: Path) -> list[Part]:
    return [run_inline(piece(source, surveyed, workshop, number)).result for number in range(len(surveyed.pieces))]


def join(surveyed: Surveyed, workshop: Path, parts: list[Part], **options: Any) -> Inline[Joined, Progress, Trouble]:
    options = {"preset": "mp4-h264-aac", **options}
    return run_inline(Join(folder=str(workshop), pieces=parts, lengths=lengths_of(surveyed), **options))


def test_pieces_are_joined_to_what_decodes_to_every_frame(surveyed: Surveyed, workshop: Path, parts: list[Part]) -> None:
    done = join(surveyed, workshop, parts)

    assert done.result.frames == sum(part.frames for part in parts) == 75
    assert len(pictures(workshop / "joined")) == 75
    assert {status.phase for status in done.statuses} >= {"reading pieces", "joining", "checking", "digesting"}


def test_a_piece_that_was_changed_or_is_missing_is_not_joined(surveyed: Surveyed, workshop: Path, parts: list[Part]) -> None:
    whole = (workshop / parts[1].name).read_bytes()
    for spoilt in (whole[:-1] + b"x", whole[:-1], None):
        if spoilt is None:
            (workshop / parts[1].name).unlink()
        else:
            (workshop / parts[1].name).write_bytes(spoilt)
        before = listing(workshop)

        done = join(surveyed, workshop, parts)

        assert isinstance(done.error, OutputWrong)
        assert parts[1].name in done.error.where
        assert done.retry
        assert listing(workshop) == before


def test_a_joined_film_that_lacks_frames_is_not_given_out(surveyed: Surveyed, workshop: Path, parts: list[Part]) -> None:
    twice = [parts[0], parts[0].model_copy(update={"frames": parts[1].frames + 5}), *parts[2:]]

    done = join(surveyed, workshop, twice)

    assert isinstance(done.error, OutputWrong)
    assert re.search(r"has \d+ frames .* instead of 80", done.error.what)
    assert not (workshop / "joined").exists()


def spoiling(folder: Path, monkeypatch: pytest.MonkeyPatch, *, when: str) -> None:
    """From now on ffmpeg leaves wrong bytes within a picture of the first file that it writes, where its command says that."""
    spoil = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(len(f.read()) // 2); f.write(bytes(60))"
    written = f'case "$before $one" in "-y file:"*) exec {sys.executable} -c "{spoil}" "${{one#file:}}";; esac'
    script = folder / "spoiling"
    script.write_text(
        f"""#!/bin/sh
{packaged_ffmpeg()} "$@" || exit $?
case "$*" in *{when}*) ;; *) exit 0;; esac
for one in "$@"; do {written}; before=$one; done
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("HEAVYJOBS_FFMPEG", str(script))


def test_a_piece_that_cannot_be_decoded_is_not_given_out(
    source: Path, surveyed: Surveyed, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling(tmp_path, monkeypatch, when="libx264")
    job = piece(source, surveyed, workshop, 1)

    done = run_inline(job)

    assert isinstance(done.error, OutputWrong)
    assert "cannot be decoded" in done.error.what
    assert done.retry
    assert listing(workshop) == {}
    assert run_inline(job.model_copy(update={"decode": False})).error is None, "only decoding finds it"


@pytest.mark.parametrize("preset", ["mp4-h264-aac", "webm-vp9-opus", "webm-av1-opus", "mp4-av1-aac"])
def test_a_joined_film_holds_the_very_packets_of_its_pieces(
    source: Path, surveyed: Surveyed, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: PresetName
) -> None:
    jobs = [piece(source, surveyed, workshop, number).model_copy(update={"preset": preset}) for number in range(3)]
    parts = [run_inline(job).result for job in jobs]
    tone = {"identity": surveyed.identity, "folder": str(workshop), "seconds": 3, "preset": preset}
    sound = run_inline(Sound(source=str(source), **tone)).result

    whole = join(surveyed, workshop, parts, preset=preset, sound=sound)
    spoiling(tmp_path, monkeypatch, when="ffconcat")
    spoilt = join(surveyed, workshop, parts, preset=preset, sound=sound)

    assert whole.error is None
    assert isinstance(spoilt.error, OutputWrong)
    assert "packets" in spoilt.error.what
    assert spoilt.retry


def test_a_source_that_is_not_what_was_surveyed_is_not_cut(source: Path, surveyed: Surveyed, workshop: Path) -> None:
    os.utime(source, ns=(1, 1))

    cut = run_inline(piece(source, surveyed, workshop, 0))
    sound = run_inline(
        Sound(source=str(source), identity=surveyed.identity, folder=str(workshop), seconds=3, preset="mp4-h264-aac")
    )

    assert isinstance(cut.error, SourceChanged)
    assert isinstance(sound.error, SourceChanged)
    assert cut.retry
    assert listing(workshop) == {}


def test_other_frames_than_were_counted_are_no_error_and_of_no_use(source: Path, surveyed: Surveyed, workshop: Path) -> None:
    job = piece(source, surveyed, workshop, 1)
    more = job.model_copy(update={"part": job.part.model_copy(update={"frames": job.part.frames + 1})})
    none = job.model_copy(update={"part": job.part.model_copy(update={"start": 10**9, "end": 10**9 + 1})})

    one, other = run_inline(more).result, run_inline(none).result

    assert not one.exact
    assert (other.exact, other.frames) == (False, 0)
    assert unfit_because([one, other]) == "its pieces do not begin cleanly"


@pytest.mark.parametrize("content", [b"", b"just a text\n" * 50])
def test_a_survey_of_what_is_no_film_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)

    assert isinstance(run_inline(Survey(source=str(tmp_path / "a.mp4"))).error, Unreadable)
    assert isinstance(run_inline(Survey(source=str(tmp_path / "no.mp4"))).error, SourceMissing)


def test_long_pieces_begin_first_and_a_share_is_never_more_than_the_whole() -> None:
    assert longest_first([3, 9, 5, 9]) == [1, 3, 2, 0]
    assert share(None, 5) == 0
    assert share(Progress(phase="starting", done=3), 5) == 0
    assert share(Progress(phase="encoding", done=3), 5) == 3
    assert share(Progress(phase="encoding", done=5.1), 5) == 5
    assert share(Progress(phase="digesting", done=100_000), 5) == 5
