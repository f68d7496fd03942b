"""The small parts of storage: sizes, waits, threads, digests, policies, keys, addresses."""

from __future__ import annotations

import hashlib
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.errors import PathRefused
from heavyjobs.jobs import Copy
from heavyjobs.jobs.list_digest import ListDigest
from heavyjobs.jobs.policies import Leave, Overwrite, decide
from heavyjobs.jobs.trouble import NotInstalled
from heavyjobs.locations import Locations
from heavyjobs.storage import ANY, NEW, Condition, Found, Notes, Unreachable, Unusable, address_fault
from heavyjobs.storage.crew import Crew, Stopped
from heavyjobs.storage.keys import key_fault
from heavyjobs.storage.patience import TRIES, Pace, patiently, wait_before
from heavyjobs.storage.protocol import Limits, part_bytes
from heavyjobs.storage.s3 import address_of
from heavyjobs.testing.inline import run_inline


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_the_digest_of_a_list_is_that_of_hashlib_wherever_it_was_interrupted(pieces: list[bytes]) -> None:
    digest = ListDigest()

    for piece in pieces:
        digest.add(piece)
        digest = ListDigest.model_validate_json(digest.model_dump_json())

    assert digest.hex() == hashlib.sha256(b"".join(pieces)).hexdigest()


@given(st.integers(0, 10_000 * (5 << 30)), st.integers(1, 1 << 30))
def test_parts_are_as_many_and_as_large_as_a_place_takes(total: int, wanted: int) -> None:
    limits = Limits(smallest=5 << 20, largest=5 << 30, count=10_000)

    size = part_bytes(total, wanted=wanted, limits=limits)

    assert limits.smallest <= size <= limits.largest
    assert size * limits.count >= total


def test_an_object_that_no_parts_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 2 parts of 10 bytes"):
        part_bytes(21, wanted=1, limits=Limits(smallest=1, largest=10, count=2))


def test_waits_grow_to_a_bound_and_are_spread() -> None:
    waits = [wait_before(attempt, luck=1) for attempt in range(2, 12)]

    assert waits == sorted(waits)
    assert waits[-1] == 30
    assert wait_before(2, luck=0) == 0.25


def test_a_place_that_stays_away_is_asked_so_many_times_and_no_more() -> None:
    asked, waits = [], list[float]()

    def ask() -> None:
        asked.append(1)
        raise Unreachable("here", "away")

    with pytest.raises(Unreachable):
        patiently(ask, pause=waits.append)

    assert (len(asked), len(waits)) == (TRIES, TRIES - 1)


def test_a_pace_lets_through_so_much_a_second() -> None:
    now = 0.0
    pace = Pace(100, clock=lambda: now)

    for _ in range(10):
        now += pace.owed(50)

    assert now == pytest.approx(4.5)  # the first piece is free to go, ten of them take five seconds
    assert Pace(None).owed(1 << 40) == 0


def test_a_crew_answers_in_order_whatever_is_done_first() -> None:
    gates = [threading.Event() for _ in range(3)]
    gates[2].set()

    def do(number: int) -> int:
        if number + 1 < 3:
            gates[number + 1].wait(10)  # the later one is done first
        gates[number].set()
        return number * 10

    assert list(Crew(3).in_order(range(3), do)) == [(0, 0), (1, 10), (2, 20)]


def test_a_crew_takes_no_more_tasks_than_it_has_hands_and_one() -> None:
    taken: list[int] = []

    def tasks() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    with closing(Crew(2).in_order(tasks(), lambda number: number)) as answers:  # type: ignore[arg-type, var-annotated]
        next(answers)

    assert len(taken) == 3


def test_a_crew_that_is_left_stops_its_hands() -> None:
    crew, stopped = Crew(1), threading.Event()

    def do(_: int) -> None:
        try:
            crew.pause(60)
        except Stopped:
            stopped.set()
            raise

    def tasks() -> object:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(crew.in_order(tasks(), do))  # type: ignore[arg-type]

    assert stopped.wait(10)


def found(*, mtime: float | None = None, maker: str = "", size: int = 1) -> Found:
    return Found(key="k", bytes=size, version="v", notes=Notes(mtime=mtime, maker=maker))


@pytest.mark.parametrize(
    ("policy", "there", "expected"),
    [
        ("error", None, NEW),
        ("overwrite", None, ANY),
        ("error", found(), Leave.TAKEN),
        ("skip", found(), Leave.KEPT),
        ("overwrite", found(), ANY),
        ("if_newer", found(mtime=9.9), Condition("v")),
        ("if_newer", found(mtime=10.0), Leave.KEPT),
        ("error", found(maker="me"), Leave.OURS),
        ("overwrite", found(maker="me"), Leave.OURS),
        ("error", found(maker="me", size=2), Leave.TAKEN),
        ("error", found(maker="other"), Leave.TAKEN),
    ],
)
def test_whether_a_thing_is_written_over_another(policy: Overwrite, there: Found | None, expected: object) -> None:
    assert decide(policy, found(mtime=10.5), there, maker="me") == expected


@given(st.text())
def test_a_key_that_is_let_through_stays_in_its_place(key: str) -> None:
    if key_fault(key) is None:
        assert not key.startswith("/")
        assert not {"", ".", ".."} & set(key.split("/"))
        assert "\\" not in key


def test_the_url_of_a_bucket_is_read_whole_and_its_mistakes_are_named() -> None:
    address = address_of("s3://id:a%2Fb%2Bc@bucket/pre//fix/?endpoint_url=http://127.0.0.1:1&region=r")

    assert (address.bucket, address.prefix, address.key_id, address.secret) == ("bucket", "pre/fix", "id", "a/b+c")
    assert (address.endpoint, address.region) == ("http://127.0.0.1:1", "r")
    with pytest.raises(Unusable, match="use endpoint_url or region"):
        address_of("s3://bucket?endpoint=x")
    with pytest.raises(Unusable, match="s3://bucket/prefix"):
        address_of("s3:///prefix")
    assert "use one of" in (address_fault("gopher://host/x") or "")
    assert address_fault("s3://bucket/x?region=r") is None


def test_a_place_elsewhere_is_its_location_and_a_key_in_it() -> None:
    fleet = Locations({"far": "s3://id:hush@bucket", "near": "/srv"}, plain=False)

    there = fleet.elsewhere("far:a//./b")

    assert there is not None
    assert (there.url, there.key) == ("s3://id:hush@bucket", "a/b")
    assert fleet.elsewhere("near:a") is None
    for text in ("far:../a", "far:/a", "other:a", "https://example.org/a"):
        with pytest.raises(PathRefused):
            fleet.elsewhere(text)
    with pytest.raises(PathRefused, match="need credentials"):
        Locations({}, plain=True).elsewhere("s3://bucket/key")


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("s3://b/p", "botocore.config", "s3"), ("sftp://h/p", "paramiko", "sftp")]
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    done = run_inline(Copy(source="far:a", target=str(tmp_path / "a")), locations=Locations({"far": url}, plain=True))

    assert isinstance(done.error, NotInstalled)
    assert done.error.would_do.startswith(f"pip install 'heavyjobs[{extra}]'")
    assert done.retry
    assert f"heavyjobs[{extra}]" in (address_fault(url) or "")
