"""A job's configuration comes as plain numbers, from its class or its parameters; what cannot be used is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from heavyjobs import JobConfig, JobDefinitionError
from heavyjobs.model import Policy
from heavyjobs.units import Duration, Size
from tests.films import Clip, Film


def test_the_configuration_in_plain_numbers() -> None:
    config = JobConfig(
        queue="films", attempts=7, backoff="1m", backoff_max=timedelta(hours=1), timeout=90, memory="2GiB", cpus=2, priority=-1
    )

    assert config.policy(waits=False) == Policy(
        queue="films",
        attempts=7,
        backoff_seconds=60,
        backoff_max_seconds=3600,
        timeout_seconds=90,
        memory_bytes=2 << 30,
        cpus=2,
        priority=-1,
    )
    assert JobConfig().policy(waits=False) == Policy()


def test_a_job_that_waits_takes_no_processor_unless_it_says_so() -> None:
    assert Clip().policy().cpus == 0
    assert JobConfig(cpus=0.5).policy(waits=True).cpus == 0.5


def test_a_job_is_configured_by_its_parameters() -> None:
    short, long = Film(title="M").policy(), Film(title="M", seconds=120).policy()

    assert (short.attempts, short.timeout_seconds) == (5, None)
    assert (long.attempts, long.timeout_seconds, long.memory_bytes) == (3, 1200, 2 << 30)


def test_a_configure_that_returns_nothing_is_told() -> None:
    class Forgets(Clip, kind="test_job.forgets"):
        @override
        def configure(self) -> JobConfig:
            return None  # type: ignore[return-value]  # the point

    with pytest.raises(JobDefinitionError, match="Forgets: configure returned None; return a JobConfig"):
        Forgets().policy()


@pytest.mark.parametrize(
    ("name", "value", "would_do"),
    [
        ("queue", "", "a name of 1 to 100 printable characters would do"),
        ("queue", "q" * 101, "a name of 1 to 100 printable characters would do"),
        ("queue", None, "a name of 1 to 100 printable characters would do"),
        ("attempts", 0, "a whole number from 1 to 1000 would do"),
        ("attempts", "3", "a whole number from 1 to 1000 would do"),
        ("attempts", 2.5, "a whole number from 1 to 1000 would do"),
        ("attempts", True, "a whole number from 1 to 1000 would do"),
        ("priority", 40_000, "a whole number from -32768 to 32767 would do"),
        ("priority", None, "a whole number from -32768 to 32767 would do"),
        ("cpus", -1, "a number from 0 to 4096 would do"),
        ("cpus", float("nan"), "a number from 0 to 4096 would do"),
        ("cpus", "2", "a number from 0 to 4096 would do"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_with_what_would_do(name: str, value: Any, would_do: str) -> None:
    with pytest.raises(JobDefinitionError) as raised:
        JobConfig(**{name: value})

    assert str(raised.value) == f"{name}={value!r}: {would_do}"


@pytest.mark.parametrize("name", ["backoff", "backoff_max", "timeout", "grace"])
@pytest.mark.parametrize("value", ["soon", "", -1, float("inf"), [1], True])
def test_what_is_no_duration_is_refused(name: str, value: Duration) -> None:
    with pytest.raises(JobDefinitionError, match=rf"^{name}: .* is not a duration"):
        JobConfig(**{name: value})  # type: ignore[arg-type]  # any of the four


@pytest.mark.parametrize("value", ["much", "", -1, "9" * 400, [1], True])
def test_what_is_no_size_is_refused(value: Size) -> None:
    with pytest.raises(JobDefinitionError, match=r"^memory: .* is not a size"):
        JobConfig(memory=value)
