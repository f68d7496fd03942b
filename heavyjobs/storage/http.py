"""A web server as a place to read from: ranges where it has them, and the same version for all of them.

    https://example.org/films                      the location's keys lie below that path
    http://files.internal/films?private=allow      in a private network, which takes the operator's word
    https://USER:PASSWORD@example.org/films        Basic, sent to that host only, never after a redirect elsewhere

Proxies are not used. A plain URL in a job's parameters is taken as it is, and never reaches a private network.
"""

from __future__ import annotations

import base64
import http.client
import re
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urljoin, urlsplit

from heavyjobs.storage.addresses import connected
from heavyjobs.storage.failures import Changed, Denied, NotThere, StorageFailed, Unreachable, Unusable
from heavyjobs.storage.keys import joined
from heavyjobs.storage.protocol import PIECE_BYTES, STALL_SECONDS, Found, Notes

REDIRECTS_MAX: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Site:
    """What a URL says: `base` without user and options, and whether private networks are open."""

    base: str
    authorization: str
    private: bool
    plain: bool


def site_of(url: str, *, plain: bool) -> Site:
    """Read a URL; a plain one, of a job's parameters, cannot open private networks.

    Raises:
        Unusable: says what would do.
    """
    parts = urlsplit(url)
    if not parts.hostname or _UNSAFE.search(url):
        raise Unusable("http:", "the URL names no host, or holds blanks", would_do="write https://host/path")
    options = {} if plain else parse_qs(parts.query, keep_blank_values=True)
    if not plain and (options.keys() - {"private"} or options.get("private", ["allow"]) != ["allow"]):
        raise Unusable("http:", "a location's URL has one option, private=allow", would_do="leave the others out")
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    base = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=parts.query if plain else "", fragment="")
    return Site(
        base=base.geturl(),
        authorization="" if user == ":" else f"Basic {base64.b64encode(user.encode()).decode()}",
        private="private" in options,
        plain=plain,
    )


class HttpSource:
    def __init__(self, site: Site) -> None:
        self._site: Final = site
        self.skipped = 0

    def stat(self, key: str) -> Found | None:
        try:
            with self._answered("HEAD", key, {}) as answer:
                return _found(key, answer)
        except NotThere:
            return None

    def walk(self, key: str) -> Iterator[Found]:
        """Web servers say nothing of what lies below a path."""
        del key
        return iter(())

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        if not count:
            return
        headers = {"Range": f"bytes={start}-{start + count - 1}"}
        if found.version.startswith('"'):
            headers["If-Range"] = found.version
        with self._answered("GET", found.key, headers) as answer:
            if _found(found.key, answer).version != found.version:
                raise Changed(found.key, "changed while it was read")
            at, left = _begins(found, answer, start), count
            while left and (data := answer.read(min(PIECE_BYTES, start + count - at))):
                wanted = data[max(start - at, 0) :]  # a server without ranges sends all of it from the start
                at += len(data)
                left -= len(wanted)
                yield wanted
        if left:
            raise Unreachable(found.key, "the server sent less than it should")

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def _answered(self, method: str, key: str, headers: dict[str, str]) -> Generator[http.client.HTTPResponse]:
        """An answer that has what was asked for, after redirects.

        Raises:
            StorageFailed: it is another one.
        """
        url, first = self._url(key), self._url("")
        for _ in range(REDIRECTS_MAX + 1):
            with _said(key), self._asked(method, url, headers, to_owner=_origin(url) == _origin(first)) as answer:
                if answer.status not in _REDIRECTS:
                    _judge(key, answer.status)
                    yield answer
                    return
                url = _redirected(key, url, answer.getheader("Location", ""))
        raise Unusable(key, "is redirected again and again", would_do="use the address where it ends")

    @contextmanager
    def _asked(self, method: str, url: str, headers: dict[str, str], *, to_owner: bool) -> Generator[http.client.HTTPResponse]:
        parts = urlsplit(url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        sock = connected(host, port, private=self._site.private, timeout=STALL_SECONDS)
        try:
            if secure:
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port)
            connection.sock = sock
            own = {"Authorization": self._site.authorization} if to_owner and self._site.authorization else {}
            asked = {"Accept-Encoding": "identity", "User-Agent": "heavyjobs", "Connection": "close", **own, **headers}
            connection.request(method, parts._replace(scheme="", netloc="", fragment="").geturl() or "/", headers=asked)
            with connection.getresponse() as answer:
                yield answer
        finally:
            sock.close()

    def _url(self, key: str) -> str:
        if not key:
            return self._site.base
        parts = urlsplit(self._site.base)
        return parts._replace(path=f"/{quote(joined(unquote(parts.path), key))}").geturl()


def _origin(url: str) -> tuple[str, str]:
    return urlsplit(url).scheme, urlsplit(url).netloc


def _redirected(key: str, url: str, to: str) -> str:
    there = urljoin(url, to)
    if urlsplit(there).scheme not in {"http", "https"} or _UNSAFE.search(there):
        raise Unusable(key, "is redirected to what is no web address", would_do="check the server")
    if url.startswith("https:") and there.startswith("http:"):
        raise Unusable(key, "is redirected from https to http", would_do="name the http address if it is to be trusted")
    return there


def _found(key: str, answer: http.client.HTTPResponse) -> Found:
    """What the headers say of the whole, also beside one range of it."""
    if answer.getheader("Content-Encoding", "identity") != "identity":
        raise Unusable(key, "comes compressed, though it was not asked for so", would_do="use another server")
    ranged = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
    size = ranged[3] if ranged else answer.getheader("Content-Length", "")
    if not size.isdecimal():
        raise Unusable(key, "the server does not say how large it is", would_do="use another server, or fetch it by a program")
    tag, date = answer.getheader("ETag", ""), answer.getheader("Last-Modified", "")
    version = tag if tag.startswith('"') else f"{tag}{date}{size}"  # a weak tag alone promises no equal bytes
    return Found(key=key, bytes=int(size), version=version, notes=Notes(mtime=_seconds(date)))


def _begins(found: Found, answer: http.client.HTTPResponse, start: int) -> int:
    """Where the body begins."""
    if answer.status != http.client.PARTIAL_CONTENT:
        return 0
    ranged = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
    if ranged is None or int(ranged[1]) != start or int(ranged[3]) != found.bytes:
        raise Unreachable(found.key, "the server sent another range than it was asked for")
    return start


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _judge(key: str, status: int) -> None:
    text = f"the server says {status} {http.client.responses.get(status, '')}".strip()
    if status in {200, 206}:
        return
    if status in {404, 410}:
        raise NotThere(key, "is not there")
    if status in {401, 403, 407}:
        raise Denied(key, text)
    if status in {412, 416}:
        raise Changed(key, "changed while it was read")
    raise Unreachable(key, text) if status >= 500 or status in {408, 425, 429} else Unusable(key, text)


@contextmanager
def _said(key: str) -> Generator[None]:
    """The library's errors in the words of the protocol."""
    try:
        yield
    except StorageFailed:
        raise
    except ssl.SSLCertVerificationError as error:
        raise Unusable(key, f"the server's certificate is not to be trusted: {error.verify_message}") from None
    except (http.client.HTTPException, OSError) as error:
        raise Unreachable(key, f"the server does not answer: {str(error) or type(error).__name__}") from None
