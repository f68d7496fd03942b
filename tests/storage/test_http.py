"""Reading from web servers: rclone's, which has ranges, and small ones that behave as some do."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Copy, Progress, Verify
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.trouble import Refused, SourceChanged, SourceMissing, TargetUnusable, Trouble
from heavyjobs.locations import Locations
from heavyjobs.storage.addresses import is_public
from heavyjobs.testing.inline import Inline, run_inline
from tests.storage.relay import Fate, relay
from tests.storage.servers import rclone

PART = 1 << 20
LARGE = os.urandom(5 * PART + 3)

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server with a file."""
    (tmp_path / "web/sub dir").mkdir(parents=True)
    (tmp_path / "web/sub dir/ü").write_bytes(LARGE)
    with rclone("http", tmp_path / "web") as address:
        yield address if address.startswith("http") else f"http://{address}"


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any], Answer]], str]]:
    """Start a server that answers as a function of the request says; gives its address."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(answer: Callable[[Any], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answer(self)
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - the library's name

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # clients may leave early
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def copy(url: str, here: Path, *, source: str = "web:a", **how: Any) -> Inline[Copied, Progress, Trouble]:
    places = Locations({"web": url, "here": str(here)}, plain=False)
    return run_inline(Copy(source=source, target="here:b", part_size=PART, **how), locations=places)


def whole(_: Any) -> Answer:
    """A server that knows no ranges."""
    return 200, {"Content-Length": str(len(LARGE)), "ETag": '"1"'}, LARGE


def test_a_file_comes_from_a_web_server_by_ranges(here: Path, web: str) -> None:
    done = copy(f"{web}?private=allow", here, source="web:sub dir/ü")

    assert done.error is None, done.error
    assert (here / "b").read_bytes() == LARGE
    assert done.result.sha256 == hashlib.sha256(LARGE).hexdigest()
    places = Locations({"web": f"{web}/sub%20dir?private=allow", "here": str(here)}, plain=False)
    assert run_inline(Verify(source="here:b", target="web:ü"), locations=places).result.bytes == len(LARGE)


@pytest.mark.parametrize("fate", ["503", "reset", "cut"])
def test_trouble_that_passes_is_not_seen(here: Path, web: str, fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heavyjobs.storage.patience.FIRST_WAIT_SECONDS", 0.01)
    with relay(web) as way:
        way.fate = lambda line, count: fate if count == 1 else "passes"
        done = copy(f"{way.url}?private=allow", here, source="web:sub dir/ü")

    assert done.error is None, done.error
    assert (here / "b").read_bytes() == LARGE


def test_a_server_without_ranges_is_read_all_the_same(here: Path, serve: Callable[..., str]) -> None:
    done = copy(serve(whole) + "?private=allow", here)

    assert done.error is None, done.error
    assert (here / "b").read_bytes() == LARGE


def test_a_file_that_changes_between_ranges_is_found_out(here: Path, serve: Callable[..., str]) -> None:
    asked: list[str] = []

    def answer(request: Any) -> Answer:
        asked.append(request.command)
        return 200, {"Content-Length": str(len(LARGE)), "ETag": f'"{len(asked) > 2}"'}, LARGE

    done = copy(serve(answer) + "?private=allow", here)

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert not (here / "b").exists()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, {}, b""), SourceMissing),
        ((403, {}, b""), SourceMissing),
        ((200, {}, b"no length"), Refused),
        ((200, {"Content-Length": "3", "Content-Encoding": "gzip"}, b"xxx"), Refused),
        ((302, {"Location": "file:///etc/passwd"}, b""), Refused),
        ((302, {"Location": "/again"}, b""), Refused),
        ((418, {}, b""), Refused),
    ],
)
def test_odd_answers_are_typed_errors(here: Path, serve: Callable[..., str], answer: Answer, expected: type) -> None:
    done = copy(serve(lambda _: answer) + "?private=allow", here)

    assert isinstance(done.error, expected), done.error
    assert not done.retry


def test_a_password_goes_to_its_host_and_not_where_that_redirects_to(here: Path, serve: Callable[..., str]) -> None:
    heard: list[tuple[str, str | None]] = []

    def there(request: Any) -> Answer:
        heard.append(("there", request.headers["Authorization"]))
        return whole(request)

    elsewhere = serve(there)

    def first(request: Any) -> Answer:
        heard.append(("first", request.headers["Authorization"]))
        return 302, {"Location": elsewhere}, b""

    url = serve(first).replace("http://", "http://me:hush@")
    done = copy(f"{url}?private=allow", here)

    assert done.error is None, done.error
    assert set(heard) == {("first", "Basic bWU6aHVzaA=="), ("there", None)}


def test_a_private_address_is_refused_unless_the_location_allows_it(here: Path, serve: Callable[..., str]) -> None:
    url = serve(whole)
    plain = Locations({}, plain=True)

    by_number = copy(url.replace("127.0.0.1", "2130706433"), here)
    by_name = copy(url.replace("127.0.0.1", "localhost"), here)
    of_a_job = run_inline(Copy(source=f"{url}/a?private=allow", target=str(here / "b")), locations=plain)

    for done in (by_name, by_number, of_a_job):
        assert isinstance(done.error, Refused), done.error
        assert "not a public address" in done.error.what
        assert not done.retry
    assert not (here / "b").exists()


def test_a_redirect_into_a_private_network_is_not_followed(
    here: Path, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def answer(request: Any) -> Answer:
        heard.append(request.headers["Host"])
        return 302, {"Location": f"http://127.0.0.2:{request.server.server_port}/secret"}, b""

    url = serve(answer)
    # No public server can be had here: this address counts as one, its neighbour does not.
    monkeypatch.setattr("heavyjobs.storage.addresses.is_public", lambda address: str(address) == "127.0.0.1")

    done = copy(url, here)

    assert isinstance(done.error, Refused)
    assert "127.0.0.2" in done.error.what
    assert len(heard) == 1


NOT_PUBLIC = """
127.0.0.1 10.0.0.1 169.254.169.254 192.168.1.1 100.64.0.1 0.0.0.0 224.0.0.1
::1 fe80::1 fd00::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_nothing_is_written_to_a_web_server(here: Path) -> None:
    (here / "a").write_bytes(b"x")
    places = Locations({"web": "https://example.org", "here": str(here)}, plain=False)

    done = run_inline(Copy(source="here:a", target="web:a"), locations=places)

    assert isinstance(done.error, TargetUnusable)
