"""Places that fsspec opens: rclone's WebDAV server and pyftpdlib, with the folder that they serve to look at."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]

from heavyjobs.jobs import Copy, Progress, Sync, Verify
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_far import Done as Checkpoint
from heavyjobs.jobs.trouble import NotInstalled, Refused, SourceMissing, StorageAway, TargetTaken, Trouble
from heavyjobs.locations import Locations
from heavyjobs.storage import ANY, Changed, Notes, Unreachable, Unusable, address_fault, open_storage
from heavyjobs.storage.fsspec import seconds_of
from heavyjobs.storage.fsspec_stream import Stream
from heavyjobs.storage.fsspec_url import opened
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.servers import ftp, rclone

PART = 1 << 20
LARGE = os.urandom((9 << 20) + 3)  # more than is sent at a time


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "served/films").mkdir(parents=True)
    return tmp_path / "served"


def dav(address: str, folder: str = "films") -> str:
    return f'webdav://{folder}?base_url={address}&auth=["me","hush"]&private=allow'


@pytest.fixture(params=["webdav", "ftp"])
def url(request: pytest.FixtureRequest, served: Path) -> Iterator[str]:
    if request.param == "webdav":
        # With 0s its cache is forgotten by a loop that leaves it no time to answer.
        with rclone("webdav", served, "--user", "me", "--pass", "hush", "--dir-cache-time", "1ms") as address:
            yield dav(address)
    else:
        with ftp(served, user="me", password="hush") as address:  # noqa: S106 - of a server that lives for a test
            yield f"ftp://me:hush@{address}/films?private=allow"


@pytest.fixture
def fleet(url: str, tmp_path: Path) -> Locations:
    (tmp_path / "here").mkdir()
    return Locations({"far": url, "here": str(tmp_path / "here")}, plain=False)


@pytest.fixture
def here(fleet: Locations, tmp_path: Path) -> Path:
    for name, data in {"large": LARGE, "sub/ünï [a-z]* code": b"x", "sub/deeper/empty": b""}.items():
        (tmp_path / "here/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here/tree" / name).write_bytes(data)
    return tmp_path / "here"


def copy(source: str, target: str, fleet: Locations, **how: Any) -> Inline[Copied, Progress, Trouble]:
    return run_inline(Copy(source=source, target=target, part_size=PART, **how), locations=fleet)


def test_a_tree_goes_there_and_comes_back(fleet: Locations, here: Path, served: Path) -> None:
    up = copy("here:tree", "far:a/tree", fleet)
    down = copy("far:a/tree", "here:back", fleet)
    same = run_inline(Verify(source="here:tree", target="far:a/tree"), locations=fleet)

    assert (up.error, down.error, same.error) == (None, None, None)
    assert listing(served / "films/a/tree") == listing(here / "back") == listing(here / "tree")
    assert up.result.sha256 == down.result.sha256 == same.result.sha256


def test_what_is_there_stays_or_is_replaced_as_the_policy_says(fleet: Locations, here: Path, served: Path) -> None:
    (served / "films/a").write_bytes(b"old")

    taken = copy("here:tree/large", "far:a", fleet)
    kept = copy("here:tree/large", "far:a", fleet, overwrite="skip").result.kept
    untouched = (served / "films/a").read_bytes()
    replaced = copy("here:tree/large", "far:a", fleet, overwrite="overwrite")

    assert isinstance(taken.error, TargetTaken)
    assert kept == 1
    assert untouched == b"old"
    assert replaced.error is None
    assert listing(served / "films").keys() == {"a"}
    assert (served / "films/a").read_bytes() == LARGE


def test_a_sync_copies_what_differs_and_deletes_just_what_is_too_much(fleet: Locations, here: Path, served: Path) -> None:
    copy("here:tree", "far:t", fleet)
    (served / "films/t/sub/ünï [a-z]* code").write_bytes(b"other")
    (served / "films/t/[st]*").write_bytes(b"too much, and a pattern of the others' names")

    planned = run_inline(Sync(source="here:tree", target="far:t", delete=True, dry_run=True), locations=fleet).result
    done = run_inline(Sync(source="here:tree", target="far:t", delete=True), locations=fleet).result

    assert (planned.copied, planned.deleted) == (done.copied, done.deleted) == (1, 1)
    assert listing(served / "films/t") == listing(here / "tree")


def test_a_file_that_changes_between_ranges_is_found_out(fleet: Locations, served: Path) -> None:
    (served / "films/a").write_bytes(LARGE)
    place = open_storage(fleet.places["far"])
    found = place.stat("a")
    assert found is not None
    pieces = place.read(found, start=0, count=PART)

    next(pieces)
    (served / "films/a").write_bytes(LARGE + b"more")
    with pytest.raises(Changed):
        list(pieces)
    place.close()


def test_what_is_not_there_and_who_may_not_come_in_are_typed_errors(fleet: Locations, url: str, here: Path) -> None:
    places = Locations({**fleet.places, "wrong": url.replace("hush", "wrong")}, plain=False)

    nothing, nobody = copy("far:no", "here:x", fleet), copy("wrong:a", "here:x", places)

    assert isinstance(nothing.error, SourceMissing)
    assert isinstance(nobody.error, SourceMissing)
    assert not nobody.retry
    assert "wrong" not in str(nobody.error).replace("wrong:a", "")


def test_an_upload_that_another_attempt_left_is_removed_and_begun_anew(
    fleet: Locations, here: Path, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heavyjobs.storage.patience.FIRST_WAIT_SECONDS", 0.01)
    real = Stream.write

    def write(self: Stream, number: int, data: bytes) -> None:
        if number == 10:
            raise Unreachable("large", "cut off")
        real(self, number, data)

    monkeypatch.setattr(Stream, "write", write)
    failed = copy("here:tree/large", "far:a", fleet)
    left = [name for name in listing(served / "films") if not name.startswith(".upload-")]
    monkeypatch.setattr(Stream, "write", real)
    job = Copy(source="here:tree/large", target="far:a", part_size=PART)
    checkpoint = Checkpoint.model_validate_json(failed.checkpoints[-1])
    again = run_inline(job, locations=fleet, checkpoint=checkpoint, attempt=2)

    assert isinstance(failed.error, StorageAway)
    assert failed.retry
    assert left == []
    assert again.error is None
    assert listing(served / "films").keys() == {"a"}
    assert (served / "films/a").read_bytes() == LARGE


def test_what_an_earlier_attempt_wrote_is_known_by_its_bytes(fleet: Locations, here: Path, served: Path) -> None:
    (served / "films/t").mkdir()
    (served / "films/t/large").write_bytes(LARGE)
    job = Copy(source="here:tree", target="far:t", part_size=PART)

    again = run_inline(job, locations=fleet, checkpoint=Checkpoint(), attempt=2)
    (served / "films/t/large").write_bytes(LARGE[::-1])
    not_ours = run_inline(job, locations=fleet, checkpoint=Checkpoint(), attempt=2)

    assert again.error is None, again.error
    assert isinstance(not_ours.error, TargetTaken)
    assert (served / "films/t/large").read_bytes() == LARGE[::-1]


class Shelf(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Like an object store: nothing can be moved, and what is written shows when it is complete."""

    protocol = "shelf"
    root_marker = ""
    held: ClassVar[dict[str, bytes]] = {}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if path not in self.held:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.held[path]), "type": "file", "etag": hash(self.held[path])}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
        return [self.info(name) for name in self.held]

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **how: Any) -> AbstractBufferedFile:
        return ShelfFile(self, path, mode=mode, block_size=block_size, cache_type="none")


class ShelfFile(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        return Shelf.held[self.path][start:end]

    def _upload_chunk(self, final: bool = False) -> bool:
        if final:
            Shelf.held[self.path] = self.buffer.getvalue()
        return final


def test_where_a_place_cannot_move_what_is_unfinished_is_never_completed() -> None:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    place = open_storage("shelf://films")

    place.put("a", b"x", notes=Notes(), condition=ANY)
    uploads = {key: place.begin(key, notes=Notes()) for key in "bc"}
    for key, upload in uploads.items():
        place.put_part(key, upload, number=1, start=0, data=b"half")
    place.abort("b", uploads["b"])
    place.close()
    del place
    gc.collect()

    assert Shelf.held == {"films/a": b"x"}


@pytest.mark.parametrize(
    "url",
    [
        "local:///etc",
        "zip://a?fo=/etc/x.zip",
        "git://x?path=/srv/repository",
        "reference://x?fo=/etc/x.json",
        "simplecache::ftp://example.org/x",
        "ftp://example.org/x::file:///etc",
        "filecache://x?target_protocol=file",
        "dir://x?path=/etc",
        "ssh://example.org/x",
        "memory://x",
        "ftp://example.org/x?private=perhaps",
        "gopher://example.org/x",
    ],
)
def test_no_url_leads_to_this_hosts_files_or_through_another_place(url: str) -> None:
    with pytest.raises(Unusable):
        opened(url)


def test_a_server_in_a_private_network_takes_the_operators_word(url: str, fleet: Locations) -> None:
    places = Locations({**fleet.places, "far": url.replace("?private=allow", "").replace("&private=allow", "")}, plain=False)

    done = copy("far:a", "here:a", places)

    assert isinstance(done.error, Refused), done.error
    assert "not a public address" in done.error.what


def test_a_redirect_into_a_private_network_is_not_followed(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is open itself; no public one can be had here, so this address counts as one."""
    asked: list[str] = []

    class Redirects(BaseHTTPRequestHandler):
        def do_PROPFIND(self) -> None:
            asked.append(self.headers["Host"])
            self.send_response_only(302)
            port = cast("HTTPServer", self.server).server_port
            self.send_header("Location", self.path.replace("/", f"http://127.0.0.2:{port}/", 1))
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirects) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setattr("heavyjobs.storage.addresses.is_public", lambda address: str(address) == "127.0.0.1")
        place = open_storage(f"webdav://films?base_url=http://127.0.0.1:{server.server_port}")
        with pytest.raises(Unusable, match=r"127\.0\.0\.2"):
            list(place.walk(""))
        place.close()
        server.shutdown()
        thread.join()

    assert len(asked) == 1


def test_a_job_cannot_name_such_a_place_itself(tmp_path: Path) -> None:
    plain = Locations({}, plain=True)

    for source in ("ftp://example.org/a", "memory://a", "simplecache::ftp://example.org/a"):
        done = run_inline(Copy(source=source, target=str(tmp_path / "a")), locations=plain)
        assert isinstance(done.error, Refused | SourceMissing), done.error


@pytest.mark.parametrize(("url", "said"), [("ftp://h/x", "heavyjobs[fsspec]"), ("gs://bucket/x", "gcsfs")])
def test_a_package_that_is_missing_is_named(url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if url.startswith("ftp"):
        monkeypatch.setitem(sys.modules, "fsspec", None)
    else:
        monkeypatch.setitem(sys.modules, "gcsfs", None)

    done = run_inline(Copy(source="far:a", target=str(tmp_path / "a")), locations=Locations({"far": url}, plain=True))

    assert isinstance(done.error, NotInstalled), done.error
    assert said in done.error.would_do
    assert said in (address_fault(url) or "")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (1.5, 1.5),
        ("20260102030405", 1767323045.0),
        ("20260102030405.123", 1767323045.0),
        ("2026-01-02T03:04:05Z", 1767323045.0),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 1767323045.0),
        (None, None),
        ("soon", None),
    ],
)
def test_times_of_many_packages_are_read(time: object, seconds: float | None) -> None:
    assert seconds_of(time) == seconds
