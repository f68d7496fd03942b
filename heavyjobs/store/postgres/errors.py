"""psycopg's errors become ours, in this one place: where, what, what would do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from heavyjobs.errors import ConfigurationError, HeavyjobsError, SchemaMismatch, StoreError, StoreUnavailable, Unstorable


class Interrupted(StoreUnavailable):
    """The connection was lost, or another transaction was in the way: trying again at once may well do."""


# Connecting fails without an error code, so its words are all there is to go by; they are hints for people only.
_HINTS: Final = (
    ("password authentication failed", "check user and password"),
    ("no password supplied", "give a password in the URL, PGPASSWORD or ~/.pgpass"),
    ("pg_hba.conf", "let this host and user in by the server's pg_hba.conf"),
    ("role ", "check the user, or create it: createuser {name}"),
    ("database ", "check the database's name, or create it: createdb {name}"),
    ("refused", "check host and port, and that the server runs"),
    ("No such file", "check the socket's folder, and that the server runs"),
    ("resolve", "check the host's name"),
    ("translate host name", "check the host's name"),
    ("timeout expired", "check the host, and the firewalls on the way"),
    ("unreachable", "check the host, and the network on the way"),
    ("too many clients", "raise the server's max_connections, or use fewer connections"),
    ("starting up", "wait until the server has started"),
    ("SSL", "check sslmode in the URL"),
)
_NAMED: Final = re.compile(r'(?:role|database) "(.+?)"')


_ANSWERS: Final[Sequence[tuple[tuple[type[psycopg.Error], ...], type[HeavyjobsError], str]]] = (
    ((errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn), SchemaMismatch, "run heavyjobs migrate"),
    ((errors.InsufficientPrivilege,), ConfigurationError, "let the URL's user use, create and write in the schema heavyjobs"),
    ((errors.ReadOnlySqlTransaction,), StoreUnavailable, "this server only reads: name the primary in the URL"),
    ((PoolTimeout, TooManyRequests), StoreUnavailable, "the database is away, or all our connections were busy all that time"),
    ((PoolClosed,), StoreUnavailable, "enter the store first: async with"),
    ((errors.QueryCanceled, errors.LockNotAvailable), StoreUnavailable, "the database is overloaded or locked"),
    ((errors.DiskFull,), StoreUnavailable, "free some on the database's host, nothing was written"),
    ((errors.OutOfMemory, errors.TooManyConnections), StoreUnavailable, "the database's host has no more of it"),
    (
        (psycopg.DataError, errors.ProgramLimitExceeded, errors.NotNullViolation),
        Unstorable,
        "the database cannot hold such a value; use a shorter or plainer one",
    ),
)

_AGAIN: Final = ("08", "40", "57P", "25P03")
"""What error codes begin with when a connection was lost, or a transaction stood in another's way: nothing else passes."""

_DOUBTFUL: Final = ("08", "57P", "25006")
"""Of these, what other connections will meet too: the server went away, or only reads now."""


@contextmanager
def told(where: str, doing: str, *, timeout_seconds: float, again: bool = False) -> Generator[None]:
    """Turn what psycopg raises in the block into our errors, whatever it is.

    Args:
        again: whether trying again at once may well do where it took too long.
    """
    try:
        yield
    except TimeoutError as error:
        ours = Interrupted if again else StoreUnavailable
        raise ours(
            f"{where}: {doing} took longer than {timeout_seconds:.3g} s; the database is away, overloaded or locked"
        ) from error
    except psycopg.Error as error:
        raise _ours(error, f"{where}: {doing}: {_reason(error)}") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise Unstorable(f"{where}: {doing}: {error}; the database cannot hold such a value") from error


def unreachable(where: str, error: psycopg.Error) -> StoreUnavailable:
    """What to say when no connection could be made."""
    reason = _reason(error)
    hint = next((hint for words, hint in _HINTS if words in reason), "check the URL, and that the server runs")
    named = _NAMED.search(reason)
    return StoreUnavailable(f"{where}: {reason}; {hint.format(name=shlex.quote(named[1]) if named else 'NAME')}")


def _ours(error: psycopg.Error, what: str) -> HeavyjobsError:
    for types, ours, advice in _ANSWERS:
        if isinstance(error, types):
            return ours(f"{what}; {advice}")
    if _is_outrun(error) or (_is_lost(error) if error.sqlstate is None else error.sqlstate.startswith(_AGAIN)):
        return Interrupted(f"{what}; try again")
    return StoreError(what)


def casts_doubt(error: BaseException) -> bool:
    """Whether a connection failed so that others, made before it did, are likely to fail too."""
    if not isinstance(error, psycopg.Error):
        return False
    return _is_lost(error) if error.sqlstate is None else error.sqlstate.startswith(_DOUBTFUL)


def _is_outrun(error: psycopg.Error) -> bool:
    """Whether another transaction took a unique key that was free when the statement looked; the next look sees who has it."""
    return isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "jobs_live_key"


def _is_lost(error: psycopg.Error) -> bool:
    """Of an error without a code: half a message from a server that went away is a plain DatabaseError."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) or type(error) is psycopg.DatabaseError


def _reason(error: psycopg.Error) -> str:
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
