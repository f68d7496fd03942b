"""A way to an HTTP server on which requests meet trouble: they are refused, stall, are cut off or lose their answer."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Fate: TypeAlias = Literal["passes", "500", "503", "stalls", "reset", "cut", "spoiled", "answer lost"]


@dataclass
class Relay:
    """Where it listens, and what it has seen.

    Attributes:
        fate: decides what happens to a request, by its line (`PUT /bucket/key?partNumber=1`) and how many came with such a
        line. seen: the lines of all requests. passed: of those that reached the server.
    """

    url: str
    fate: Callable[[str, int], Fate] = lambda line, count: "passes"
    seen: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)

    def count(self, pattern: str) -> int:
        """Of the requests that reached the server."""
        return sum(bool(re.search(pattern, line)) for line in self.passed)


@contextmanager
def relay(behind: str) -> Iterator[Relay]:
    """A relay in front of the server of that address."""
    told = Relay("")

    class Handler(_Handler):
        relay = told
        server_at = urlsplit(behind).netloc

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # clients are killed here
        told.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield told
        finally:
            told.hold.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    relay: Relay
    server_at: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        line = f"{self.command} {self.path}"
        self.relay.seen.append(line)
        fate = self.relay.fate(line, self.relay.seen.count(line))
        if fate == "reset":
            return self._break_off()
        announced = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(announced)
        if len(body) < announced:  # who sent it was killed: the server would wait for the rest
            return self._break_off()
        match fate:
            case "stalls":
                self.relay.stalled.set()
                self.relay.hold.wait()
                self._break_off()
            case "500" | "503":
                self._answer(int(fate), [("Content-Length", "0")], b"")
            case _:
                self._pass_on(line, body, fate)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PROPFIND = do_MKCOL = do_MOVE = do  # noqa: N815 - the library's names

    def _pass_on(self, line: str, body: bytes, fate: Fate) -> None:
        with closing(http.client.HTTPConnection(self.server_at, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        if fate == "spoiled":
            data = bytes([data[0] ^ 1]) + data[1:]
        self.relay.passed.append(line)
        if fate == "answer lost":
            return self._break_off()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOPS]
        if self.command != "HEAD":
            headers.append(("Content-Length", str(len(data))))
        else:
            headers += [(name, value) for name, value in answer.getheaders() if name.lower() == "content-length"]
        self._answer(answer.status, headers, data[: len(data) // 2] if fate == "cut" else data)
        if fate == "cut":
            self._break_off()
        return None

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _break_off(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


_HOPS = {"connection", "transfer-encoding", "content-length", "keep-alive"}
