"""Against rclone's SFTP server, with paramiko looking at what is there."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from heavyjobs.jobs import Copy, Progress, Verify
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_far import Done as Checkpoint
from heavyjobs.jobs.trouble import Refused, SourceMissing, StorageAway, TargetTaken, Trouble
from heavyjobs.locations import Locations
from heavyjobs.storage.failures import Unreachable, Unusable
from heavyjobs.storage.sftp import SftpStorage, login_of
from heavyjobs.testing.inline import Inline, run_inline
from tests.jobs.folders import listing
from tests.storage.conftest import Bucket
from tests.storage.servers import rclone

PART = 1 << 20
LARGE = os.urandom(5 * PART + 3)


@pytest.fixture
def key(tmp_path: Path) -> paramiko.PKey:
    """The server's own key."""
    made = paramiko.RSAKey.generate(2048)
    made.write_private_key_file(str(tmp_path / "host_key"))
    return made


@pytest.fixture
def server(tmp_path: Path, key: paramiko.PKey) -> Iterator[str]:
    """Host and port of a server that serves a folder."""
    (tmp_path / "served/films").mkdir(parents=True)
    options = ("--user", "me", "--pass", "hush", "--key", str(tmp_path / "host_key"))
    cache = ("--cache-dir", str(tmp_path / "cache"), "--vfs-cache-mode", "full")  # what was written is there by SFTP at once
    with rclone("sftp", tmp_path / "served", *options, *cache) as address:
        yield address


@pytest.fixture
def fingerprint(key: paramiko.PKey) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class There:
    """What a server holds, asked by paramiko itself: not by what is tested."""

    def __init__(self, server: str) -> None:
        host, _, port = server.partition(":")
        self._transport = paramiko.Transport((host, int(port)))
        self._transport.connect(username="me", password="hush")  # noqa: S106 - of a server that lives for a test
        client = paramiko.SFTPClient.from_transport(self._transport)
        assert client is not None
        self.client = client

    def get(self, path: str) -> bytes:
        with self.client.open(f"/films/{path}", "rb") as file:
            data: bytes = file.read()
            return data

    def put(self, path: str, data: bytes) -> None:
        with self.client.open(f"/films/{path}", "wb") as file:
            file.write(data)

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def there(server: str) -> Iterator[There]:
    found = There(server)
    yield found
    found.close()


@pytest.fixture
def fleet(server: str, fingerprint: str, tmp_path: Path) -> Locations:
    (tmp_path / "here").mkdir()
    url = f"sftp://me:hush@{server}/films?host_key={fingerprint}"
    return Locations({"far": url, "here": str(tmp_path / "here")}, plain=False)


def copy(source: str, target: str, fleet: Locations, **how: Any) -> Inline[Copied, Progress, Trouble]:
    return run_inline(Copy(source=source, target=target, part_size=PART, **how), locations=fleet)


def test_a_tree_goes_to_a_server_and_comes_back(fleet: Locations, there: There, tmp_path: Path) -> None:
    for name, data in {"large": LARGE, "sub/ünï code": b"x", "sub/deeper/empty": b""}.items():
        (tmp_path / "here/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here/tree" / name).write_bytes(data)
    os.utime(tmp_path / "here/tree/large", (0, 1_500_000_000))

    up = copy("here:tree", "far:a/tree", fleet)
    assert up.error is None, up.error
    down = copy("far:a/tree", "here:back", fleet)
    same = run_inline(Verify(source="here:tree", target="far:a/tree"), locations=fleet)

    assert down.error is None, down.error
    assert listing(tmp_path / "here/back") == listing(tmp_path / "here/tree")
    assert sorted(there.client.listdir("/films/a/tree")) == ["large", "sub"]
    assert there.get("a/tree/large") == LARGE
    assert (tmp_path / "here/back/large").stat().st_mtime == 1_500_000_000
    assert up.result.sha256 == down.result.sha256 == same.result.sha256


def test_what_is_there_stays_or_is_replaced_as_the_policy_says(fleet: Locations, there: There, tmp_path: Path) -> None:
    (tmp_path / "here/a").write_bytes(LARGE)
    there.put("a", b"old")

    taken = copy("here:a", "far:a", fleet)
    kept = copy("here:a", "far:a", fleet, overwrite="skip").result.kept

    assert isinstance(taken.error, TargetTaken)
    assert kept == 1
    assert there.get("a") == b"old"
    assert copy("here:a", "far:a", fleet, overwrite="overwrite").error is None
    assert there.get("a") == LARGE
    assert there.client.listdir("/films") == ["a"]


def test_a_later_attempt_sends_only_the_parts_that_are_missing(
    fleet: Locations, there: There, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here/a").write_bytes(LARGE)
    monkeypatch.setattr("heavyjobs.storage.patience.FIRST_WAIT_SECONDS", 0.01)
    sent: list[int] = []
    real = SftpStorage.put_part

    def put_part(self: SftpStorage, key: str, upload: str, *, number: int, start: int, data: bytes) -> Any:
        if number == 4:
            raise Unreachable(key, "cut off")
        sent.append(number)
        return real(self, key, upload, number=number, start=start, data=data)

    monkeypatch.setattr(SftpStorage, "put_part", put_part)
    failed = copy("here:a", "far:a", fleet)
    first = set(sent)
    monkeypatch.setattr(SftpStorage, "put_part", real)
    checkpoint = Checkpoint.model_validate_json(failed.checkpoints[-1])
    job = Copy(source="here:a", target="far:a", part_size=PART)
    again = run_inline(job, locations=fleet, checkpoint=checkpoint, attempt=2)

    assert isinstance(failed.error, StorageAway)
    assert {1, 2, 3} <= first
    assert again.error is None, again.error
    assert any(f"{len(first)} parts are there" in line for line in again.log)
    assert there.get("a") == LARGE
    assert there.client.listdir("/films") == ["a"]


def test_a_server_whose_key_is_not_known_is_not_spoken_to(
    fleet: Locations, server: str, fingerprint: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    places = {
        "none": f"sftp://me:hush@{server}/films?known_hosts={tmp_path}/empty",
        "wrong": f"sftp://me:hush@{server}/films?host_key=SHA256:{'A' * 43}",
    }

    for name in places:
        done = copy(f"{name}:a", "here:a", Locations({**places, **fleet.places}, plain=False))
        assert isinstance(done.error, Refused), done.error
        assert fingerprint in done.error.what
        assert "hush" not in str(done.error)


def test_a_server_is_known_by_a_file_of_known_hosts(
    fleet: Locations, there: There, server: str, key: paramiko.PKey, tmp_path: Path
) -> None:
    host, _, port = server.partition(":")
    (tmp_path / "known").write_text(f"[{host}]:{port} {key.get_name()} {key.get_base64()}\n")
    there.put("a", b"x")
    places = {**fleet.places, "far": f"sftp://me:hush@{server}/films?known_hosts={tmp_path}/known"}

    assert copy("far:a", "here:a", Locations(places, plain=False)).result.bytes == 1


def test_bad_places_are_typed_errors(fleet: Locations, server: str, fingerprint: str, tmp_path: Path) -> None:
    (tmp_path / "here/a").write_bytes(b"x")
    wrong = f"sftp://me:wrong@{server}/films?host_key={fingerprint}"
    places = Locations({**fleet.places, "wrong": wrong}, plain=False)

    assert isinstance(copy("far:no", "here:x", fleet).error, SourceMissing)
    assert isinstance(copy("wrong:a", "here:x", places).error, SourceMissing)
    assert "wrong:" not in str(copy("wrong:a", "here:x", places).error).replace("wrong:a", "")


def test_the_url_of_a_server_is_read_whole_and_its_mistakes_are_named() -> None:
    login = login_of("sftp://me:a%2Fb@host:2222/srv//films/?host_key=SHA256:a+b/c&key_file=/k")

    assert (login.host, login.port, login.user, login.password, login.root) == ("host", 2222, "me", "a/b", "/srv/films")
    assert (login.host_key, login.key_file) == ("SHA256:a+b/c", "/k")
    for url in ("sftp://host", "sftp:///srv", "sftp://host/srv?trust=all"):
        with pytest.raises(Unusable):
            login_of(url)


def test_things_go_from_any_kind_of_place_to_any_other(fleet: Locations, there: There, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/a").write_bytes(LARGE)
    with rclone("http", tmp_path / "web") as address:
        web = address if address.startswith("http") else f"http://{address}"
        places = Locations({**fleet.places, "web": f"{web}?private=allow", "s3": bucket.url("p")}, plain=False)
        done = [copy(*way, places) for way in (("web:a", "far:a"), ("far:a", "s3:b"), ("s3:b", "far:c"), ("web:a", "s3:d"))]

    assert [one.error for one in done] == [None] * 4
    assert there.get("a") == there.get("c") == bucket.get("p/b") == bucket.get("p/d") == LARGE
