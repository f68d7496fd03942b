"""Headers that are read and written the fast way are those of `tarfile`."""

from __future__ import annotations

import io
import tarfile
from typing import Final, Literal

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs.members import Member, Sort
from heavyjobs.jobs.read_tar import tar_members
from heavyjobs.jobs.tar_headers import Header, extended, header_in, written
from heavyjobs.jobs.trouble import Stopped
from tests.fuzz.effort import effort

TYPES: Final = st.sampled_from([b"0", b"\0", b"5", b"2", b"1", b"3", b"6", b"7", b"S", b"L", b"x", b"g"])
NAMES: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=120)
FORMS: Final[st.SearchStrategy[Literal[0, 1]]] = st.sampled_from([0, 1])
"""ustar and GNU."""
NUMBERS: Final = st.integers(0, 1 << 40) | st.integers(0, 7)


@effort(300)
@given(
    name=NAMES | NAMES.map(lambda name: name + "/") | NAMES.map(lambda name: "folder/" * 15 + name),
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

    ours = header_in(header)

    theirs = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    expected = Header(theirs.name, theirs.type, theirs.mode, theirs.size, int(theirs.mtime) * 10**9, theirs.linkname)
    assert ours == (expected if kind in b"0\x00521x" and max(size, mtime) < 8**11 else None)


@effort(300)
@given(place=st.integers(0, 511), byte=st.integers(0, 255))
def test_a_byte_that_is_wrong_is_noticed_where_tarfile_notices_it(place: int, byte: int) -> None:
    header = bytearray(tarfile.TarInfo("some/name").tobuf(tarfile.USTAR_FORMAT))
    header[place] = byte

    try:
        ours = [member.name for member, _ in tar_members(io.BytesIO(bytes(header) + bytes(1024)), where="test")]
    except Stopped:
        ours = []

    try:
        with tarfile.open(fileobj=io.BytesIO(bytes(header) + bytes(1024))) as opened:
            theirs = opened.getnames()
    except tarfile.TarError:
        theirs = []
    assert ours == theirs


@effort(300)
@given(
    name=NAMES.filter(bool),
    link=NAMES,
    sort=st.sampled_from(Sort),
    size=NUMBERS,
    mtime_ns=st.integers(-(10**9), 1 << 66),
    mode=st.integers(0, 0o7777),
)
def test_a_header_is_written_as_tarfile_writes_it(
    name: str, link: str, sort: Sort, size: int, mtime_ns: int, mode: int
) -> None:
    kind = {Sort.FILE: b"0", Sort.FOLDER: b"5", Sort.SYMLINK: b"2", Sort.HARDLINK: b"1"}[sort]

    ours = written(Header(name, kind, mode, size, mtime_ns, link))

    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mtime, info.mode = kind, link, size, mtime_ns // 10**9, mode
    if fraction := mtime_ns % 10**9:
        info.pax_headers = {"mtime": f"{info.mtime}.{fraction:09}"}
    if ours is not None:
        assert ours == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    else:
        is_plain = len(name) < 100 and (name + link).isascii() and len(link) <= 100
        assert not is_plain or size >= 8**11 or not 0 <= mtime_ns < 8**11 * 10**9


@effort(300)
@given(
    records=st.dictionaries(
        st.sampled_from(["path", "linkpath", "mtime", "atime", "uid", "uname", "comment", "SCHILY.xattr.user.a"]),
        NAMES.filter(bool) | st.decimals(0, 10**13, places=9).map(str) | st.integers(-9, 9).map(str),
    )
)
def test_extended_headers_say_the_same(records: dict[str, str]) -> None:
    info = tarfile.TarInfo("name")
    info.type, info.linkname, info.mtime, info.pax_headers = b"2", "link", 7, records
    blocks = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    front, header = header_in(blocks[:512]), header_in(blocks[-512:])
    assert header is not None

    ours = extended(header, blocks[512 : 512 + front.size]) if front and front.kind == b"x" else header

    with tarfile.open(fileobj=io.BytesIO(blocks + bytes(1024))) as opened:
        theirs = opened.next()
    assert theirs is not None
    if ours is None:
        assert "SCHILY.xattr.user.a" in records or not records["mtime"].replace(".", "", 1).isdigit() or theirs.mtime >= 10**11
    else:
        assert (ours.name, ours.link) == (theirs.name, theirs.linkname)
        assert ours.mtime_ns == _mtime_ns(theirs)


def _mtime_ns(info: tarfile.TarInfo) -> int:
    whole, _, fraction = info.pax_headers.get("mtime", str(info.mtime)).partition(".")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))


def test_an_archive_reads_the_same_whether_its_headers_are_common_or_not() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for number, name in enumerate(["plain", "ünïcode", "long/" * 60 + "name", "rare", "another"]):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 500 + number, number + 0.5
            info.pax_headers = {"VENDOR.odd": "x"} if name == "rare" else {}
            opened.addfile(info, io.BytesIO(bytes([number]) * info.size))

    made.seek(0)
    found = [(member, data and data.read(1 << 20)) for member, data in tar_members(made, where="test")]

    assert [(member.name, data) for member, data in found] == [
        (name, bytes([number]) * (500 + number))
        for number, name in enumerate(["plain", "ünïcode", "long/" * 60 + "name", "rare", "another"])
    ]
    assert [member.mtime_ns for member, _ in found] == [500_000_000 + number * 10**9 for number in range(5)]
    assert all(isinstance(member, Member) for member, _ in found)
