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
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from multiprocessing import spawn as preparing
from multiprocessing import util
from typing import TYPE_CHECKING, Any, Final

from heavyjobs.errors import ConfigurationError
from heavyjobs.events import CONFINEMENT, Confinement, read
from heavyjobs.processes import COORDINATOR_MARK, WORKER_MARK, started_at
from heavyjobs.slots.usage import SPARE_FILES

if TYPE_CHECKING:
    from heavyjobs.settings import WorkerSettings  # what forks the workers needs none of it

TOLD: Final = "HEAVYJOBS_CONFINED"
"""The variable that says how, to a process that is to confine itself."""

UNCONFINED: Final = 78
"""The exit code of a process that could not be confined; its last words say why, and what would do."""

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
    """What multiprocessing starts within this block, it starts with the bounded environment, and tells it as little else.

    It offers no way to say so, and changing this process's own environment meanwhile would take it from other threads. Of what
    it tells a new process, the arguments may hold a password, and the folder may be closed to another user.
    """
    given = environment(confinement)

    def spawn(path: bytes, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        process = subprocess.Popen(  # noqa: S603 - a list of multiprocessing's own making
            arguments,
            executable=path,
            pass_fds=[*descriptors],
            env=given,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without the terminal that its coordinator may have: it could type there
        )
        process.returncode = 0  # who asked for it waits for it: nothing of it is left to this object
        return process.pid

    def prepare(name: str) -> dict[str, Any]:
        told: dict[str, Any] = own_prepare(name)
        told.pop("dir", None)
        return {**told, "sys_argv": sys.argv[:1]}

    own_spawn, own_prepare = util.spawnv_passfds, preparing.get_preparation_data
    setattr(util, "spawnv_passfds", spawn)  # noqa: B010 - its arguments have many names
    preparing.get_preparation_data = prepare
    try:
        yield
    finally:
        util.spawnv_passfds = own_spawn
        preparing.get_preparation_data = own_prepare


def confinement_of(workers: WorkerSettings) -> Confinement:
    """What the configuration allows to user code.

    Raises:
        ConfigurationError: it cannot be had on this machine, or only as root.
    """
    confinement = Confinement(
        user=workers.user,
        group=workers.group,
        environment=workers.environment,
        processes=workers.processes,
        file_size_bytes=workers.file_size,
        open_files=workers.open_files,
    )
    check(confinement)
    return confinement


def check(confinement: Confinement) -> None:
    """Whether this process could do that to one that it starts.

    Raises:
        ConfigurationError: there is no such user or group, or only root may become that user.
    """
    if confinement.user is None:
        if confinement.group is not None:
            raise ConfigurationError("workers.group goes with workers.user; give that too, or leave it out")
        if confinement.processes is not None and os.geteuid() == 0:
            raise ConfigurationError("workers.processes does not bind root; name another user as workers.user")
        return
    account = _account(confinement)
    if os.geteuid() == 0:
        if account.uid == 0:
            raise ConfigurationError(f"workers.user: {account.name} is root itself; name another user, or leave it out")
        return
    if (os.geteuid(), os.getegid()) != (account.uid, account.gid):
        raise ConfigurationError(
            f"workers.user: only root may run jobs as {account.name}, and in another group; start the coordinator as root, "
            "or leave workers.user and workers.group out"
        )


def confine_as_told() -> None:
    """Confine this process as its environment says; end it where that fails, for nothing may run unconfined."""
    told = os.environ.pop(TOLD, None)
    if told is None:
        return
    try:
        confine(read(CONFINEMENT, told.encode()))
    except BaseException as error:  # noqa: BLE001 - an ImportError would be passed over by the fork server
        print(error, file=sys.stderr, flush=True)  # noqa: T201
        os._exit(UNCONFINED)


def confine(confinement: Confinement) -> None:
    """Give up what user code must not have. There is no way back."""
    # What is in a job's memory is not left in files, unless a job asks for that itself.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _limit(resource.RLIMIT_FSIZE, confinement.file_size_bytes)
    if confinement.user is not None:
        _become(_account(confinement))


def limit(confinement: Confinement) -> None:
    """Let this process open no more files, and start no more processes when its user has as many as that.

    For workers, not for what forks them: it must be able to, however many processes a job has made, and has files of each.
    """
    _limit(resource.RLIMIT_NOFILE, confinement.open_files, spare=SPARE_FILES)
    _limit(resource.RLIMIT_NPROC, confinement.processes)


def _limit(number: int, most: int | None, *, spare: int = 0) -> None:
    if most is not None:
        hard = resource.getrlimit(number)[1]
        allowed, bound = (each if hard == resource.RLIM_INFINITY else min(each, hard) for each in (most, most + spare))
        resource.setrlimit(number, (allowed, bound))


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
    if os.geteuid() == 0:
        os.initgroups(account.name, account.gid)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
        _check_places(account)
    os.environ.update(HOME=account.home, USER=account.name, LOGNAME=account.name)
    if not os.access(os.getcwd(), os.X_OK):  # noqa: PTH109 - by its path, as processes that a job starts will come to it
        os.chdir("/")
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        # A change of user makes a process's own /proc unreadable to it, descriptors included. Nothing secret stands there.
        prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        # No program with the set-user-id bit gives back what was given up.
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _check_places(account: _Account) -> None:
    """Whether the user that this process is now can work here, and cannot slip something under root.

    Raises:
        ConfigurationError
    """
    for place in (os.__file__, __file__):
        if not os.access(place, os.R_OK):
            raise ConfigurationError(
                f"workers.user: {account.name} cannot read {place}; put Python and heavyjobs where that user can, as in /opt"
            )
    if os.access(".", os.W_OK):
        # Python finds modules here, the coordinator's too.
        raise ConfigurationError(
            f"workers.user: {account.name} may write to {os.getcwd()}, where the coordinator was started;"  # noqa: PTH109
            " start it in a folder of root's, as in /etc/heavyjobs"
        )
    scratch = os.environ.get("TMPDIR")
    if scratch and not os.access(scratch, os.W_OK | os.X_OK):
        # Python would use another, in which nobody looks for what is left.
        raise ConfigurationError(
            f"workers.user: {account.name} cannot write to TMPDIR={scratch}; use a folder that all may, as /tmp"
        )
