"""Media files with wrong bytes in them: transcoded, or a typed error; never half a target."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs import Transcode
from heavyjobs.jobs.facts import read_facts
from heavyjobs.jobs.media import find_ffmpeg
from heavyjobs.testing.inline import run_inline
from tests.fuzz.anything import TEXTS
from tests.fuzz.effort import effort

WOUNDS: Final = st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
CLIPS: Final = {
    "clip.mp4": ["-f", "lavfi", "-i", "testsrc2=size=32x32:rate=5:duration=1", "-c:v", "libx264", "-preset", "ultrafast"],
    "clip.mkv": ["-f", "lavfi", "-i", "testsrc2=size=32x32:rate=5:duration=1", "-c:v", "libx264", "-preset", "ultrafast"],
    "clip.wav": ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.2"],
    "clip.ogg": ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.2", "-c:a", "flac"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    made = tmp_path_factory.mktemp("clips")
    for name, argv in CLIPS.items():
        subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", *argv, str(made / name)], check=True, timeout=60)
    return {name: (made / name).read_bytes() for name in CLIPS}


@pytest.mark.fault("input: a media file with wrong bytes")
@effort(12, most=100)
@given(name=st.sampled_from([*CLIPS]), wounds=WOUNDS, keep=st.sampled_from([1 << 20, 1 << 20, 1000]))
def test_a_wounded_film_is_transcoded_or_refused(
    folder: Path, clips: dict[str, bytes], name: str, wounds: list[tuple[int, bytes]], keep: int
) -> None:
    data = bytearray(clips[name])
    for place, instead in wounds:
        data[place % len(data) : place % len(data) + len(instead)] = instead
    source, target = folder / name, folder / ("out.mp4" if name.endswith(("mp4", "mkv")) else "out.opus")
    source.write_bytes(data[:keep])

    try:
        done = run_inline(
            Transcode(
                source=str(source), target=str(target), preset="mp4-h264-aac" if target.suffix == ".mp4" else "audio-opus"
            )
        )
        made = {target.name} if done.error is None else set[str]()
    except ProgramFailed:
        made = set()

    assert {path.name for path in folder.iterdir()} == {source.name, *made}
    for path in (source, target):
        path.unlink(missing_ok=True)


NUMBERS: Final = (
    st.sampled_from(["", "N/A", "inf", "nan", "-1.5", "1e999", "0/0", "25/0", "9" * 400, None]) | TEXTS | st.floats()
)
NAMES: Final = st.sampled_from(["video", "audio", "subtitle", "unknown", None]) | TEXTS


@effort(300)
@given(
    about=st.dictionaries(st.sampled_from(["format_name", "start_time", "duration", "bit_rate"]), NUMBERS),
    sorts=st.lists(NAMES, max_size=4),
    said=st.dictionaries(st.sampled_from(["duration", "bit_rate", "sample_rate"]), NUMBERS),
)
def test_whatever_is_said_of_a_file_is_understood_or_passed_over(
    about: dict[str, Any], sorts: list[str | None], said: dict[str, Any]
) -> None:
    about["format_name"] = str(about.get("format_name"))

    facts = read_facts({"format": about, "streams": [{"index": 0, "codec_type": sort, **said} for sort in sorts]})

    assert facts.duration_seconds is None or facts.duration_seconds >= 0
    assert len(facts.video) + len(facts.audio) + len(facts.other) == len(sorts)
    assert math.isfinite(facts.begins_seconds)
