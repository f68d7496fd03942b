"""What a place answers instead of bytes, whatever kind of place it is.

StorageFailed
├── Unreachable      it stalls, resets, or says that it has trouble itself; the same call may work in a while
├── Broken           what was being written broke off, and only the whole can be sent again
├── NotThere         there is no such key, upload or bucket
├── Denied           it is there, and may not be read or written with these credentials
├── AlreadyThere     the condition of a write does not hold; nothing was written
├── Changed          the version that was to be read is not the one that is there
├── Missing          a package that speaks to such places is not installed
└── Unusable         the address, the key or the place can never do that
"""

from __future__ import annotations

from heavyjobs.errors import WorkError


class StorageFailed(WorkError):
    """The root.

    Attributes:
        where: the key, as people would write it; never with a password.
        what: is wrong. would_do: about it.
    """

    would_do = "check the location in the configuration"

    def __init__(self, where: str, what: str, *, would_do: str | None = None) -> None:
        self.where = where
        self.what = what
        self.would_do = would_do or type(self).would_do
        super().__init__(f"{where}: {what}; {self.would_do}")


class Unreachable(StorageFailed):
    """Nothing is known to have been done; try the same again later."""

    would_do = "try again, and check the network and the server if it recurs"


class Broken(StorageFailed):
    """Nothing of it shows; a later attempt begins anew."""

    would_do = "try again, and check the network and the server if it recurs"


class NotThere(StorageFailed):
    would_do = "check the name"


class Denied(StorageFailed):
    would_do = "give the credentials of the location permission for it"


class AlreadyThere(StorageFailed):
    """What is there was not touched."""

    would_do = "use another target, or set overwrite"


class Changed(StorageFailed):
    would_do = "try again when nobody writes to it"


class Missing(StorageFailed):
    """On this host; another may have it."""


class Unusable(StorageFailed):
    """Trying again changes nothing."""
