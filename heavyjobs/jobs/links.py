"""Where the symlinks of an archive lead."""

from __future__ import annotations


def symlink_fault(name: str, link: str) -> str | None:
    """What forbids that a symlink be made under that name, or None when it cannot lead out of the folder of the archive.

    Its `..` may only stand in front, and be no more than there are folders above it: these are real ones, as symlinks are made
    last. What follows goes down, through other symlinks at most, of which the same is true.
    """
    if not link or "\0" in link:
        return "is a symlink to nothing"
    if link.startswith("/"):
        return "is a symlink to an absolute path"
    parts = [part for part in link.split("/") if part not in {"", "."}]
    up = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    if up > name.count("/"):
        return "is a symlink that leads out of the archive"
    if ".." in parts[up:]:
        return "is a symlink that goes down and up again, past links perhaps"
    return None
