"""The configuration: defaults, overrides, secrets, and every mistake told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.errors import ConfigurationError
from heavyjobs.settings import Settings, load, without_secrets
from heavyjobs.settings.writing import written_bytes, written_seconds
from heavyjobs.units import seconds, size_bytes

CONFIG = Path(__file__).parent.parent / "config"


def problems(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is said about a file, one text per line, without the file's name."""
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ or {})
    return [line.removeprefix(f"{file}: ") for line in str(caught.value).splitlines()]


# -- the examples


def test_the_example_configuration_equals_the_defaults() -> None:
    assert load(CONFIG / "heavyjobs.toml", {}) == load(None, {})


def test_the_example_configuration_names_every_key() -> None:
    lines = (CONFIG / "heavyjobs.toml").read_text().splitlines()
    uncommented = "\n".join(line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines)
    settings = "\n".join(line for line in uncommented.splitlines() if not line.startswith("#") and "HEAVYJOBS_" not in line)

    named = tomllib.loads(settings)

    expected: dict[str, Any] = Settings().model_dump()
    assert set(named) == set(expected)
    for section in ("database", "coordinator", "workers", "log"):
        assert set(named[section]) == set(expected[section]), section
    assert named["queues"] == {"default": {"slots": 8}}
    assert set(named["locations"]["media"]) == {"url"}


def test_the_fleet_example_opens_only_its_locations() -> None:
    settings = load(CONFIG / "postgres.toml", {"DATABASE_URL": "postgresql://app@db/app"})

    assert settings.database.url == "postgresql://app@db/app"
    assert {name: queue.slots for name, queue in settings.queues.items()} == {"default": 4, "media": 2}
    assert set(settings.locations) == {"media", "archive"}
    assert not settings.plain_paths


# -- values


def test_durations_and_sizes_are_read_from_text(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[coordinator]\ntick_every = "500ms"\ndrain = "1h 30m"\nmemory = "2GiB"\nlog_bytes = 0\n')

    coordinator = load(file, {}).coordinator

    assert (coordinator.tick_every, coordinator.drain, coordinator.memory, coordinator.log_bytes) == (0.5, 5400.0, 2 << 30, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0s"),
        (15.0, "15s"),
        (5400.0, "1h 30m"),
        (90061.0, "1d 1h 1m 1s"),
        (0.25, "250ms"),
        (0.0015, "1.5ms"),
        (2.5, "2.5s"),
    ],
)
def test_a_duration_is_written_as_it_is_read(value: float, text: str) -> None:
    assert written_seconds(value) == text
    assert seconds(text) == pytest.approx(value)


@given(st.integers(min_value=0, max_value=1 << 52))
def test_a_size_is_written_exactly(value: int) -> None:
    assert size_bytes(written_bytes(value)) == value


@pytest.mark.parametrize(("value", "text"), [(0, "0B"), (4097, "4097B"), (64 << 20, "64MiB"), (3 << 29, "1536MiB")])
def test_a_size_is_written_in_the_largest_unit_that_divides_it(value: int, text: str) -> None:
    assert written_bytes(value) == text


def test_a_variable_overrides_a_key_in_any_case_and_finds_queues_with_dashes(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[queues.Big-Files]\nslots = 1\n[queues.small]\nslots = 2\n")

    settings = load(file, {"HEAVYJOBS_QUEUES__BIG_FILES__SLOTS": "8", "heavyjobs_plain_paths": "false"})

    assert {name: queue.slots for name, queue in settings.queues.items()} == {"Big-Files": 8, "small": 2}
    assert not settings.plain_paths


@pytest.mark.parametrize("text", ["heavyjobs.jobs, mine", '["heavyjobs.jobs", "mine"]'])
def test_a_list_in_a_variable_is_split_at_commas_or_read_as_toml(text: str) -> None:
    assert load(None, {"HEAVYJOBS_MODULES": text}).modules == ("heavyjobs.jobs", "mine")


def test_variables_that_are_no_settings_are_left_to_others() -> None:
    assert load(None, {"HEAVYJOBS_CONFIG": "x", "HEAVYJOBS_FFMPEG": "y", "HEAVYJOBS_DEBUG": "1"}) == load(None, {})


def test_secrets_come_from_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    file = tmp_path / "c.toml"
    file.write_text(f'[database]\nurl = "file:{tmp_path}/url"\nlisten_url = "env:DIRECT"\n')

    database = load(file, {"DIRECT": "postgresql://u:p@direct/d"}).database

    assert database.url == "postgresql://u:p@h/d"
    assert database.listen_url == "postgresql://u:p@direct/d"


def test_the_url_of_a_location_is_no_secret_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[locations.media]\nurl = "file:///srv/media"\n')

    assert load(file, {}).locations["media"].url == "file:///srv/media"


def test_the_current_folder_comes_after_the_configured_ones(tmp_path: Path) -> None:
    assert load(None, {"HEAVYJOBS_PATH": str(tmp_path)}).import_paths() == [str(tmp_path), str(Path.cwd())]


# -- mistakes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[coordinator]\ntick_evry = "1s"', "coordinator.tick_evry: no such key; did you mean tick_every?"),
        ("[log]\nzzz = 1", "log.zzz: no such key; keys here: format, level"),
        (
            '[coordinator]\nlease = "soon"',
            "coordinator.lease: 'soon' is not a duration; write it like 30s, 5m, 1h 30m or 250ms",
        ),
        ("[coordinator]\nlease = true", 'coordinator.lease: not a duration; write it like "30s", "5m" or "250ms"'),
        ("[coordinator]\nmemory = [1]", 'coordinator.memory: not a size; write it like "2GiB", "500MB" or 4096'),
        ('[database]\nconnections = "many"', 'database.connections: "many" does not do; use a valid integer'),
        ("[database]\nconnections = 1", "database.connections: 1 does not do; use a number greater than or equal to 2"),
        ('[log]\nformat = "xml"', "log.format: \"xml\" does not do; use 'human' or 'json'"),
        ("[queues]\nmedia = 4", "queues.media: 4 does not do; it is a table with the keys slots"),
        ("queues = 4", "queues: 4 does not do; it is a table of names"),
        ("[queues.media]", "queues.media.slots: is missing; give it a value"),
        ("[locations.a]\nurl = 1", "locations.a.url: 1 does not do; use a valid string"),
        (
            '[coordinator]\ntick_every = "9s"',
            'coordinator.tick_every: "9s" is too slow for lease "15s"; use "5s" or less, or a longer lease',
        ),
        (
            '[coordinator]\nlease = "26s"',
            (
                'coordinator.forfeit_after: "30s" is too short for lease "26s" and kill "5s"; '
                'use more than "31s", or a shorter lease'
            ),
        ),
        (
            '[database]\nurl = "env:NOWHERE"',
            'database.url: "env:NOWHERE": the variable NOWHERE is not set; set it, or write the value here',
        ),
        (
            '[database]\nurl = "file:/no/such"',
            (
                'database.url: "file:/no/such": /no/such cannot be read: No such file or directory; '
                "make it readable, or write the value here"
            ),
        ),
        ("a = ", "not TOML: invalid value (at end of document)"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_would_do(tmp_path: Path, text: str, told: str) -> None:
    assert problems(tmp_path, text) == [told]


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ({"HEAVYJOBS_LOG__LEVL": "x"}, "environment: HEAVYJOBS_LOG__LEVL: no such key; did you mean level?"),
        ({"HEAVYJOBS_LOG": "x"}, 'environment: HEAVYJOBS_LOG: "x" does not do; it is a table with the keys format, level'),
        (
            {"HEAVYJOBS_QUEUE__MEDIA__SLOTS": "1"},
            "environment: HEAVYJOBS_QUEUE__MEDIA__SLOTS: no such setting; did you mean HEAVYJOBS_QUEUES__MEDIA__SLOTS?",
        ),
        (
            {"HEAVYJOBS_DATABASE_URL": "sqlite:///x.db"},
            "environment: HEAVYJOBS_DATABASE_URL: no such setting; did you mean HEAVYJOBS_DATABASE__URL, with two underscores?",
        ),
        (
            {"HEAVYJOBS_QUEUES__MEDIA__SLOTS": "some"},
            'environment: HEAVYJOBS_QUEUES__MEDIA__SLOTS: "some" does not do; use a valid integer',
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, variable: dict[str, str], told: str) -> None:
    assert problems(tmp_path, "", variable) == [told]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("env:NOWHERE", '--database: "env:NOWHERE": the variable NOWHERE is not set; set it, or write the value here'),
        (
            "file:/no/such",
            (
                '--database: "file:/no/such": /no/such cannot be read: No such file or directory; '
                "make it readable, or write the value here"
            ),
        ),
    ],
)
def test_a_mistake_in_the_option_names_the_option(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, {"HEAVYJOBS_DATABASE__URL": "sqlite:///other.db"}, database=url)

    assert str(caught.value) == told


def test_the_option_goes_before_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[database]\nurl = "sqlite:///a.db"\nconnections = 7\n')

    database = load(file, {"HEAVYJOBS_DATABASE__URL": "sqlite:///b.db"}, database="sqlite:///c.db").database

    assert (database.url, database.connections) == ("sqlite:///c.db", 7)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path, 'plain_path = 1\n[log]\nformat = "xml"\nlevel = "loud"\n', {"HEAVYJOBS_LOG__X": "1"})

    assert len(told) == 4


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    absent, binary = tmp_path / "absent.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"a = '\xff'")

    with pytest.raises(ConfigurationError, match=r"absent\.toml: cannot be read: No such file or directory; name a readable"):
        load(absent, {})
    with pytest.raises(ConfigurationError, match=r"binary\.toml: byte 5 is not UTF-8; save the file as UTF-8"):
        load(binary, {})


def test_a_secret_that_does_not_fit_is_not_shown(tmp_path: Path) -> None:
    told = problems(tmp_path, '[log]\nformat = "env:SECRET"', {"SECRET": "hunter2"})

    assert told == ["log.format: the secret does not do; use 'human' or 'json'"]


# -- keeping secrets off the screen


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p/a@ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=p&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("s3://key:secret@bucket", "s3://key:***@bucket"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@given(st.text(st.characters(codec="utf-8"), min_size=3))
def test_no_password_however_odd_survives_the_mask(password: str) -> None:
    assert without_secrets(f"postgresql://u:{password}@h/d") == "postgresql://u:***@h/d"
