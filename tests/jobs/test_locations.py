from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from heavyjobs.errors import PathRefused
from heavyjobs.locations import Locations, Place


class Named(BaseModel):
    place: Place


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    (folder / "films").mkdir(parents=True)
    (tmp_path / "secret").write_text("no")
    return folder


@pytest.fixture
def fleet(media: Path) -> Locations:
    return Locations({"media": str(media), "by-url": f"file://{media}"}, plain=False)


def test_a_key_lies_under_its_location(fleet: Locations, media: Path) -> None:
    assert fleet.path("media:films/a.mkv") == media / "films/a.mkv"
    assert fleet.path("by-url:films/a.mkv") == media / "films/a.mkv"
    assert fleet.path("media:./films//a b.mkv") == media / "films/a b.mkv"
    assert fleet.path("media:") == media


def test_a_url_may_have_escaped_characters(tmp_path: Path) -> None:
    locations = Locations({"odd": f"file://localhost{tmp_path}/a%20b"}, plain=False)

    assert locations.path("odd:c") == tmp_path / "a b/c"


@pytest.mark.fault("security: a place that would lead out of its location, or to one that is not open")
@pytest.mark.parametrize(
    "place",
    [
        "media:../secret",
        "media:films/../../secret",
        "media:..",
        "media:/etc/passwd",
        "media://etc/passwd",
        "media:films\\..\\..\\secret",
        "media:a\0b",
        "/etc/passwd",
        "etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/key",
        "other:a",
        "",
        " ",
    ],
)
def test_nothing_outside_of_a_location_is_reached(fleet: Locations, place: str) -> None:
    with pytest.raises(PathRefused):
        fleet.path(place)


@pytest.mark.fault("security: a symlink that leads out of a location")
def test_a_symlink_that_leads_out_is_refused_wherever_it_stands(fleet: Locations, media: Path, tmp_path: Path) -> None:
    (media / "folder").symlink_to(tmp_path)
    (media / "file").symlink_to(tmp_path / "secret")
    (media / "dangling").symlink_to(tmp_path / "not yet there")
    (media / "loop").symlink_to("loop")

    for key in ("folder/secret", "file", "dangling", "folder"):
        with pytest.raises(PathRefused, match="leads out"):
            fleet.path(f"media:{key}")
    assert fleet.path("media:loop") == media / "loop"  # opening it fails by itself


def test_a_symlink_that_stays_inside_is_followed_on_the_way_and_kept_at_the_end(fleet: Locations, media: Path) -> None:
    (media / "movies").symlink_to("films")
    (media / "films/latest").symlink_to("a.mkv")

    assert fleet.path("media:movies/latest") == media / "films/latest"


def test_a_location_may_itself_lie_behind_a_symlink(tmp_path: Path, media: Path) -> None:
    (tmp_path / "link").symlink_to("media")

    assert Locations({"m1": str(tmp_path / "link")}, plain=False).path("m1:a") == media / "a"


def test_refusals_say_what_would_do(fleet: Locations) -> None:
    for place, hint in {
        "medai:a": "did you mean media?",
        "/etc/passwd": "use by-url:… or media:…",
        "media:/a": "use media:a",
        "media:../a": "without ..",
    }.items():
        with pytest.raises(PathRefused) as refused:
            fleet.path(place)
        assert hint in str(refused.value)
        assert str(refused.value).startswith(place)


def test_remote_locations_are_refused_by_name() -> None:
    with pytest.raises(PathRefused, match="only local locations are open to this job"):
        Locations({"far": "s3://bucket/prefix"}, plain=True).path("far:a")
    with pytest.raises(PathRefused, match="absolute"):
        Locations({"near": "relative/folder"}, plain=True).path("near:a")


def test_plain_paths_are_open_where_the_configuration_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Locations({}, plain=True)

    assert own.path("/etc/hosts") == Path("/etc/hosts")
    assert own.path("a/b") == tmp_path / "a/b"
    assert own.path(Path("a")) == tmp_path / "a"
    assert own.path("file:///etc/hosts") == Path("/etc/hosts")
    assert own.path("c:name") == tmp_path / "c:name"  # one letter is no location
    with pytest.raises(PathRefused, match=r"\./notes:"):
        own.path("notes:2026")


def test_a_relative_place_is_settled_where_it_is_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settled = Named(place="sub/../films").place
    monkeypatch.chdir("/")

    assert settled == str(tmp_path / "films")
    assert Named(place=settled).place == settled
    assert Named(place="media:films").place == "media:films"
    assert Named(place="s3://bucket/key").place == "s3://bucket/key"
    assert Named(place="./odd:name").place == "/odd:name"


@pytest.mark.parametrize("place", ["", "a\0b", "media:../a", "media:/a"])
def test_a_place_that_can_never_be_opened_is_refused_when_submitted(place: str) -> None:
    with pytest.raises(ValidationError):
        Named(place=place)
