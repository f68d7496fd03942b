"""Headers that are read the fast way say what they say to `tarfile`."""

from __future__ import annotations

import tarfile
from typing import Final, Literal

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs.read_tar import _Info
from tests.fuzz.effort import effort

TYPES: Final = st.sampled_from([b"0", b"\0", b"5", b"2", b"1", b"3", b"6", b"7", b"S", b"L", b"x", b"g"])
NAMES: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=120)
FORMS: Final[st.SearchStrategy[Literal[0, 1]]] = st.sampled_from([0, 1])
"""ustar and GNU."""
NUMBERS: Final = st.integers(0, 1 << 40) | st.integers(0, 7)


@effort(300)
@given(
    name=NAMES | NAMES.map(lambda name: name + "/"),
    link=NAMES,
    kind=TYPES,
    size=NUMBERS,
    mtime=NUMBERS,
    mode=st.integers(0, 0o7777),
    form=FORMS,
)
def test_a_header_says_the_same(
    name: str, link: str, kind: bytes, size: int, mtime: int, mode: int, form: Literal[0, 1]
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mtime, info.mode = kind, link, size, mtime, mode
    try:
        header = info.tobuf(form, "utf-8", "surrogateescape")[-tarfile.BLOCKSIZE :]
    except ValueError:  # ustar has no room for it
        return

    ours = _Info.frombuf(header, "utf-8", "surrogateescape")

    theirs = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    for field in ("name", "linkname", "type", "size", "mtime", "mode"):
        assert getattr(ours, field) == getattr(theirs, field), field


@effort(300)
@given(place=st.integers(0, 511), byte=st.integers(0, 255))
def test_a_byte_that_is_wrong_is_noticed_where_tarfile_notices_it(place: int, byte: int) -> None:
    header = bytearray(tarfile.TarInfo("some/name").tobuf(tarfile.USTAR_FORMAT))
    header[place] = byte

    ours, theirs = _read(_Info, header), _read(tarfile.TarInfo, header)

    assert (ours is None) == (theirs is None)


def _read(kind: type[tarfile.TarInfo], header: bytearray) -> tarfile.TarInfo | None:
    try:
        return kind.frombuf(bytes(header), "utf-8", "surrogateescape")
    except tarfile.TarError:
        return None
