"""From a URL to a database file that SQLite can be trusted with: named, in a folder that exists, on a local disk, private."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from tempfile import mkstemp
from typing import Final
from urllib.parse import unquote, urlsplit

from heavyjobs.errors import ConfigurationError, StoreUnavailable

FORMS: Final = "sqlite:///relative.db or sqlite:////absolute.db"

NETWORK: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gpfs", "beegfs", "orangefs", "ocfs2",
    "gfs2", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.juicefs", "fuse.ceph-fuse",
    "fuse.gcsfuse", "fuse.mountpoint-s3", "fuse.blobfuse2",
})  # fmt: skip
"""Types of file systems whose files several hosts see: the write-ahead log needs memory that all its users share."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


def database_path(url: str) -> Path:
    """The file that a URL names, as an absolute path without symbolic links, beside which SQLite keeps its log.

    Raises:
        ConfigurationError: it names none; says which forms would do.
    """
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    if parts.netloc:
        # Not shown, nor are options: there may be a password in them, where one was needed before.
        raise ConfigurationError(f"database URL: {parts.scheme}://… names a host; use {FORMS}")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"database URL: {parts.scheme}://{parts.path} has options, SQLite takes none; use {FORMS}")
    if not name or ":memory:" in name:
        raise ConfigurationError(f"database URL: {url} names no file, and jobs in memory would be lost; use {FORMS}")
    try:
        return Path(name).resolve()
    except (OSError, RuntimeError):  # links in a circle, which `prepare` tells; to older Pythons a RuntimeError
        return Path(name).absolute()


def prepare(path: Path, *, where: str) -> None:
    """Make sure of the place, and make the file when there is none, readable for its owner alone.

    Raises:
        StoreUnavailable: nothing can be kept there; says why and what would do.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise StoreUnavailable(f"{where}: {path}: {_reason(error)}; name another file") from error
    if mode is not None and S_ISDIR(mode):
        raise StoreUnavailable(f"{where}: {path} is a folder; name a file in it, such as {path / 'jobs.db'}")
    if mode is not None and not S_ISREG(mode):
        raise StoreUnavailable(f"{where}: {path} is not an ordinary file; name another one")
    if not path.parent.is_dir():
        raise StoreUnavailable(f"{where}: there is no folder {path.parent}; make it: mkdir -p {path.parent}")
    if (kind := file_system(path.parent)) and is_network(kind):
        raise StoreUnavailable(
            f"{where}: {path.parent} is a network file system ({kind}), where SQLite loses data; "
            "put the file on a local disk, or use postgresql://"
        )
    if mode is not None:
        if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            # SQLite itself would open it for reading, and fail at the first job.
            raise StoreUnavailable(f"{where}: {path} cannot be written; let this user write the file and its folder")
    else:
        try:
            _create_private(path)
        except OSError as error:
            raise StoreUnavailable(
                f"{where}: cannot make {path}: {_reason(error)}; let this user write in {path.parent}, or name another file"
            ) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _create_private(path: Path) -> None:
    # Not by opening `path` itself: closing a descriptor of a database drops all locks that SQLite, in this process, has on it.
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        Path(temporary).unlink()


def file_system(folder: Path) -> str | None:
    """The type of the file system that holds a folder; None where the system does not tell."""
    try:
        mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return None
    return file_system_of(str(folder.resolve()), mounts)


def file_system_of(folder: str, mounts: str) -> str | None:
    """The same, from the text of /proc/self/mountinfo: the longest mount point above the folder, the last mounted of equals."""
    best, kind = "", None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode("latin-1", "backslashreplace").decode("unicode_escape")
        if (folder == point or folder.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether several hosts may see the files of a file system of that type."""
    return kind in NETWORK
