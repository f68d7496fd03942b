"""What can go wrong in a simulated world, each kind by its name."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """The kinds that are counted; a run that has not met each of them has not tried what it says."""

    REFUSED = "database: a call is refused before it was applied"
    CONFLICT = "database: a transaction is rolled back because of a conflict"
    LOST_ANSWER = "database: the answer of an applied call is lost"
    SLOW = "database: a call is slow"
    LATE_COMMIT = "database: a call is applied after it was given up"
    HINT_LOST = "database: a wake-up is lost"
    HINT_LATE = "database: a wake-up comes late"
    HINT_TWICE = "database: a wake-up comes twice"
    LISTENER_LOST = "database: the listener's connection dies"
    CUT_OFF = "database: a host is cut off"
    OUTAGE = "database: nobody reaches it"
    CLOCK_JUMPS = "time: the database's clock jumps ahead by hours"
    DRIFT = "time: a clock runs up to ten percent too slow or too fast"
    SLEEP = "time: a machine sleeps"
    STOPPED = "process: a coordinator is stopped and goes on later"
    STALLED = "process: a coordinator's event loop stalls"
    KILLED = "process: a coordinator is killed"
    POWER_CUT = "process: a machine loses its power"
    GUARDIAN_KILLED = "process: a guardian is killed"
    WORKER_KILLED = "process: a worker is killed"
    WORKER_CRASHES = "process: a worker crashes at some frame"
    WORKER_STILLBORN = "process: a worker dies before its first job"
    GARBAGE = "process: a worker says garbage"
    WORDS_LATE = "process: a worker's words come late"
    DRAINED = "people: a coordinator is drained"
    DRAINED_TWICE = "people: a coordinator is drained twice"
    CLIENT_DIES = "people: a client dies while it awaits"
