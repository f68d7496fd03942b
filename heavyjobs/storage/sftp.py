"""A folder of an SFTP server as a place, by paramiko. Parts lie in a hidden file beside their key, as on this host.

    sftp://USER:PASSWORD@host:22/srv/films?host_key=SHA256:…
    sftp://USER@host/srv/films?key_file=/run/secrets/id_ed25519&known_hosts=/etc/ssh/ssh_known_hosts

A server is trusted by the fingerprint of its key (as `ssh-keygen -lf` prints it) or by a file of known hosts, the user's own if
none is named; there is no way to trust any.

Guarantees: parts that the server has acknowledged are kept if this process is killed.
Assumes: the server's rename is one step; without OpenSSH's extension nothing is replaced.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import stat
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from loguru import logger

from heavyjobs.parts import upload_name
from heavyjobs.storage.failures import AlreadyThere, Changed, Denied, NotThere, StorageFailed, Unreachable, Unusable
from heavyjobs.storage.keys import HIDDEN, joined
from heavyjobs.storage.packages import needed
from heavyjobs.storage.protocol import PIECE_BYTES, STALL_SECONDS, Condition, Found, Limits, Notes, Part, Source

CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Login:
    """What a URL says."""

    host: str
    port: int
    user: str | None
    password: str | None
    root: str
    key_file: str | None
    known_hosts: str | None
    host_key: str | None


def login_of(url: str) -> Login:
    """Read `sftp://…`.

    Raises:
        Unusable: says what would do.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query.replace("+", "%2B"), keep_blank_values=True).items()}
    if unknown := sorted(options.keys() - {"host_key", "key_file", "known_hosts"}):
        raise Unusable("sftp:", f"there is no option {unknown[0]}", would_do="use host_key, key_file or known_hosts")
    if not parts.hostname or not parts.path:
        raise Unusable("sftp:", "the URL names no host, or no folder", would_do="write sftp://user@host/folder")
    return Login(
        host=parts.hostname,
        port=parts.port or 22,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        root=posixpath.normpath(unquote(parts.path)),
        key_file=options.get("key_file"),
        known_hosts=options.get("known_hosts"),
        host_key=options.get("host_key"),
    )


class SftpStorage:
    limits: ClassVar[Limits] = Limits(smallest=1, largest=1 << 30, count=1 << 16)
    keeps_notes: ClassVar[bool] = False
    keeps_times: ClassVar[bool] = True

    def __init__(self, login: Login) -> None:
        needed("paramiko", extra="sftp")
        self._login: Final = login
        self._idle: Final[SimpleQueue[Any]] = SimpleQueue()
        self._lock: Final = threading.Lock()
        self._ledgers: Final = threading.Lock()  # appending is a look at the size and a write
        self._ssh: Any = None
        self._inside: Final[set[str]] = set()
        self.skipped = 0

    def stat(self, key: str) -> Found | None:
        with self._client(key) as client:
            try:
                status = client.lstat(self._path(client, key))
            except FileNotFoundError:
                return None
        return _found(key, status) if stat.S_ISREG(status.st_mode) else None

    def walk(self, key: str) -> Iterator[Found]:
        waiting = [key]
        while waiting:
            folder = waiting.pop()
            with self._client(folder) as client:
                try:
                    entries = client.listdir_attr(self._folder(client, folder))
                except FileNotFoundError:
                    continue
            for entry in entries:
                child = f"{folder}/{entry.filename}" if folder else entry.filename
                if entry.filename.startswith(HIDDEN):
                    continue
                if stat.S_ISDIR(entry.st_mode):
                    waiting.append(child)
                elif stat.S_ISREG(entry.st_mode):
                    yield _found(child, entry)
                else:
                    self.skipped += 1
                    logger.warning("left out {!r}: neither file nor folder", child)

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        left = count
        with self._client(found.key) as client, client.open(self._path(client, found.key), "rb") as file:
            pieces = [(at, min(PIECE_BYTES, start + count - at)) for at in range(start, start + count, PIECE_BYTES)]
            for data in file.readv(pieces, 64):
                left -= len(data)
                yield data
            if left or _found(found.key, file.stat()).version != found.version:
                raise Changed(found.key, "changed while it was read")

    def put(self, key: str, data: bytes, *, notes: Notes, condition: Condition) -> None:
        upload = self.begin(key, notes=notes)
        try:
            part = self.put_part(key, upload, number=1, start=0, data=data)
            self.commit(key, upload, [part], notes=notes, condition=condition)
        finally:
            self.abort(key, upload)

    def begin(self, key: str, *, notes: Notes) -> str:
        upload = upload_name(notes.maker, uuid4().hex)
        with self._client(key) as client:
            _make_folders(client, self._login.root, posixpath.dirname(joined(key)))
            for name in self._hidden(client, key, upload):
                client.open(name, "wx").close()
        return upload

    def put_part(self, key: str, upload: str, *, number: int, start: int, data: bytes) -> Part:
        with self._client(key) as client:
            hidden, ledger = self._hidden(client, key, upload)
            with client.open(hidden, "r+b") as file:
                file.set_pipelined(True)
                file.seek(start)
                file.write(data)
            with self._ledgers, client.open(ledger, "ab") as lines:
                lines.write(f"{number} {len(data)}\n".encode())
        return Part(number, len(data), "")

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        with self._client(key) as client:
            hidden, ledger = self._hidden(client, key, upload)
            client.stat(hidden)
            with client.open(ledger, "rb") as file:
                text: str = file.read().decode()
        lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [*{int(number): Part(int(number), int(size), "") for number, size in lines}.values()]

    def read_part(self, key: str, upload: str, part: Part, *, start: int) -> bytes | None:
        """It would come by the network: what it was made of is as near."""
        del key, upload, part, start
        return None

    def commit(self, key: str, upload: str, parts: Sequence[Part], *, notes: Notes, condition: Condition) -> None:
        with self._client(key) as client:
            hidden, _ = self._hidden(client, key, upload)
            if client.stat(hidden).st_size != sum(part.bytes for part in parts):
                raise Unusable(key, "the server lost bytes that it had taken")
            if notes.mtime is not None:
                client.utime(hidden, (notes.mtime, notes.mtime))
        there = self.stat(key)
        if (condition.new and there) or (condition.version and (there is None or there.version != condition.version)):
            raise AlreadyThere(key, "exists, or changed meanwhile")
        with self._client(key) as client:
            (client.rename if condition.new else client.posix_rename)(hidden, self._path(client, key))
        self.abort(key, upload)

    def abort(self, key: str, upload: str) -> None:
        with self._client(key) as client:
            for name in self._hidden(client, key, upload):
                with suppress(FileNotFoundError):
                    client.remove(name)

    def copies_from(self, source: Source) -> bool:
        del source
        return False

    def copy(self, source: Source, found: Found, key: str, *, notes: Notes, condition: Condition) -> None:
        del source, found, notes, condition
        raise Unusable(key, "cannot be copied by the server itself")

    def delete(self, key: str) -> None:
        with self._client(key) as client, suppress(FileNotFoundError):
            client.remove(self._path(client, key))

    def close(self) -> None:
        if self._ssh is not None:
            self._ssh.close()

    # -- paths

    def _path(self, client: Any, key: str) -> str:
        """The path of a key, of which no folder leads out of the location."""
        if not key:
            return self._login.root
        folder, _, name = joined(key).rpartition("/")
        return posixpath.join(self._folder(client, folder), name)

    def _folder(self, client: Any, key: str) -> str:
        path = posixpath.join(self._login.root, key) if key else self._login.root
        if key and path not in self._inside:
            root, real = client.normalize(self._login.root), client.normalize(path)
            if not f"{real}/".startswith(f"{root.rstrip('/')}/"):
                would_do = "use a key that stays inside"
                raise Unusable(key, "a symlink on the way leads out of the location", would_do=would_do)
            self._inside.add(path)
        return path

    def _hidden(self, client: Any, key: str, upload: str) -> tuple[str, str]:
        path = posixpath.join(posixpath.dirname(self._path(client, key)), f"{HIDDEN}{upload}")
        return path, f"{path}.parts"

    # -- connections: one, with a channel for each thread that is at work

    @contextmanager
    def _client(self, key: str) -> Generator[Any]:
        with _said(key):
            client = self._taken()
            try:
                yield client
            except (OSError, EOFError, StorageFailed) as error:
                # After a server's own answer the channel is as good as before; after anything else nobody knows.
                if isinstance(error, StorageFailed) or (isinstance(error, OSError) and not isinstance(error, TimeoutError)):
                    self._idle.put(client)
                else:
                    client.close()
                raise
            except BaseException:
                client.close()
                raise
            self._idle.put(client)

    def _taken(self) -> Any:
        while True:
            try:
                client = self._idle.get_nowait()
            except Empty:
                return self._opened()
            if not client.get_channel().closed:
                return client

    def _opened(self) -> Any:
        with self._lock:
            if self._ssh is None or not self._ssh.get_transport() or not self._ssh.get_transport().is_active():
                self._ssh = _connected(self._login)
            client = self._ssh.open_sftp()
        client.get_channel().settimeout(STALL_SECONDS)
        return client


def _connected(login: Login) -> Any:
    paramiko = needed("paramiko", extra="sftp")
    for name in (login.key_file, login.known_hosts):
        if name is not None and not Path(name).is_file():
            raise Unusable(login.host, f"there is no file {name} on this host", would_do="put it there, or name another one")
    ssh = paramiko.SSHClient()
    if login.host_key is None:
        ssh.load_system_host_keys(login.known_hosts)
    ssh.set_missing_host_key_policy(_Policy(login))
    ssh.connect(
        login.host,
        login.port,
        username=login.user,
        password=login.password,
        key_filename=login.key_file,
        timeout=CONNECT_SECONDS,
        banner_timeout=CONNECT_SECONDS,
        auth_timeout=STALL_SECONDS,
        allow_agent=False,
        look_for_keys=login.password is None and login.key_file is None,
    )
    ssh.get_transport().set_keepalive(int(STALL_SECONDS))
    return ssh


class _Policy:
    """What to think of a server whose key no file of known hosts has."""

    def __init__(self, login: Login) -> None:
        self._login: Final = login

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        del client
        found = "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        if self._login.host_key is None or found != self._login.host_key.rstrip("="):
            would_do = f"make sure that it is the server's, and write ?host_key={found}"
            raise Unusable(hostname, f"the server's key {found} is not known", would_do=would_do)


def _make_folders(client: Any, root: str, folder: str) -> None:
    path = root
    for name in folder.split("/") if folder else ():
        path = posixpath.join(path, name)
        try:
            client.mkdir(path)
        except OSError:
            if not stat.S_ISDIR(client.lstat(path).st_mode):
                raise


def _found(key: str, status: Any) -> Found:
    mtime = None if status.st_mtime is None else float(status.st_mtime)
    return Found(key=key, bytes=status.st_size, version=f"{status.st_size}-{status.st_mtime}", notes=Notes(mtime=mtime))


@contextmanager
def _said(key: str) -> Generator[None]:
    """paramiko's errors in the words of the protocol."""
    ssh = needed("paramiko.ssh_exception", extra="sftp")
    try:
        yield
    except StorageFailed:
        raise
    except ssh.AuthenticationException as error:
        raise Denied(key, f"the server lets nobody in by that name: {error}") from None
    except ssh.BadHostKeyException:
        raise Unusable(key, "the server has another key than the one that is known") from None
    except FileNotFoundError:
        raise NotThere(key, "is not there") from None
    except PermissionError:
        raise Denied(key, "may not be read or written") from None
    except (ssh.SSHException, EOFError, TimeoutError, ConnectionError, ssh.NoValidConnectionsError) as error:
        raise Unreachable(key, f"the server does not answer: {error or type(error).__name__}") from None
    except OSError as error:
        _answered_badly(key, error)


def _answered_badly(key: str, error: OSError) -> NoReturn:
    """What a server means by `Failure` it does not say; what the network means by its errors it does."""
    if error.errno is not None:
        raise Unreachable(key, f"the server does not answer: {error}") from None
    raise Unusable(
        key, f"the server says {error}", would_do="look whether it lies below a file, and whether there is room"
    ) from None
