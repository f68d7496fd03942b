"""What user code may be, see and use: another user, a bounded environment, limits; done once, to what forks the workers.

What it guarantees
- no module of a user is imported, and no job run, before this is done: it is the first that the fork server and the probe do;
- the environment that they are started with is bounded already, so that /proc shows them nothing else either.

What it assumes
- nothing about job code, except that it runs as the same user as its coordinator unless another is configured; then it can read
  what its coordinator can.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from multiprocessing import util
from typing import Any, Final

from heavyjobs.errors import ConfigurationError
from heavyjobs.events import CONFINEMENT, Confinement, read
from heavyjobs.processes import COORDINATOR_MARK, WORKER_MARK, started_at

TOLD: Final = "HEAVYJOBS_CONFINED"
"""The variable that says how, to a process that is to confine itself."""

KEPT: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("PYTHON*", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("HEAVYJOBS_FFMPEG", WORKER_MARK, COORDINATOR_MARK),
)
"""What programs need to run at all, and our own marks; a trailing * stands for any ending."""

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def bounded(environ: Mapping[str, str], confinement: Confinement) -> dict[str, str]:
    """What user code sees of an environment."""
    patterns = (*KEPT, *confinement.environment)
    return {name: value for name, value in environ.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def environment(confinement: Confinement) -> dict[str, str]:
    """What a process is started with that is to confine itself: bounded, and told how."""
    mark = f"{os.getpid()} {started_at(os.getpid())}"
    return {
        **bounded(os.environ, confinement),
        COORDINATOR_MARK: mark,
        TOLD: CONFINEMENT.dump_json(confinement).decode(),
    }


@contextmanager
def confining(confinement: Confinement) -> Generator[None]:
    """What multiprocessing starts within this block, it starts with the bounded environment.

    It offers no way to say so, and changing this process's own environment meanwhile would take it from other threads.
    """
    given = environment(confinement)

    def spawn(path: bytes, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)  # noqa: FBT003
        try:
            return os.posix_spawn(path, [*arguments], given)
        finally:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # noqa: FBT003

    own = util.spawnv_passfds
    setattr(util, "spawnv_passfds", spawn)  # noqa: B010 - its arguments have many names
    try:
        yield
    finally:
        util.spawnv_passfds = own


def check(confinement: Confinement) -> None:
    """Whether this process could do that to one that it starts.

    Raises:
        ConfigurationError: there is no such user or group, or only root may become that user.
    """
    if confinement.user is None:
        if confinement.group is not None:
            raise ConfigurationError("workers.group goes with workers.user; give that too, or leave it out")
        return
    account = _account(confinement)
    if os.geteuid() not in (0, account.uid):
        raise ConfigurationError(
            f"workers.user: only root may run jobs as {account.name}; start the coordinator as root, or as {account.name}"
        )


def confine_as_told() -> None:
    """Confine this process as its environment says; end it where that fails, for nothing may run unconfined."""
    told = os.environ.pop(TOLD, None)
    if told is None:
        return
    try:
        confine(read(CONFINEMENT, told.encode()))
    except BaseException as error:  # noqa: BLE001 - an ImportError would be passed over by the fork server
        print(f"heavyjobs: a process for jobs could not be confined: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)


def confine(confinement: Confinement) -> None:
    """Give up what user code must not have. There is no way back."""
    for number, most in (
        (resource.RLIMIT_NPROC, confinement.processes),
        (resource.RLIMIT_FSIZE, confinement.file_size_bytes),
        (resource.RLIMIT_NOFILE, confinement.open_files),
    ):
        if most is not None:
            hard = resource.getrlimit(number)[1]
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(number, (allowed, allowed))
    if confinement.user is not None:
        _become(_account(confinement))


class _Account:
    """A user to become."""

    def __init__(self, entry: Any, gid: int) -> None:
        self.name: Final[str] = entry.pw_name
        self.home: Final[str] = entry.pw_dir
        self.uid: Final[int] = entry.pw_uid
        self.gid: Final = gid


def _account(confinement: Confinement) -> _Account:
    name = confinement.user or ""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(f"workers.user: there is no user {name} on this machine; make it, or name another") from None
    if confinement.group is None:
        return _Account(entry, entry.pw_gid)
    try:
        return _Account(entry, grp.getgrnam(confinement.group).gr_gid)
    except KeyError:
        raise ConfigurationError(
            f"workers.group: there is no group {confinement.group} on this machine; make it, or leave it out"
        ) from None


def _become(account: _Account) -> None:
    if os.geteuid() != account.uid:
        os.initgroups(account.name, account.gid)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    for place in (os.__file__, __file__):
        if not os.access(place, os.R_OK):
            raise ConfigurationError(
                f"workers.user: {account.name} cannot read {place}; put Python and heavyjobs where that user can, as in /opt"
            )
    os.environ.update(HOME=account.home, USER=account.name, LOGNAME=account.name)
    if not os.access(".", os.X_OK):
        os.chdir("/")
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        # A change of user makes a process's own /proc unreadable to it, descriptors included. Nothing secret stands there.
        prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        # No program with the set-user-id bit gives back what was given up.
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
