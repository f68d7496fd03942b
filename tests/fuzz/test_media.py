"""Media files with wrong bytes in them: transcoded, or a typed error; never half a target."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs import Transcode
from heavyjobs.jobs.media import find_ffmpeg, understand
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


@effort(300)
@given(
    lines=st.lists(
        st.builds(
            "  {}{}: {}{}".format,
            st.sampled_from(["Duration", "Stream #0:0", "Stream #0:1(und)"]),
            st.sampled_from(["", "[0x1]"]),
            st.sampled_from(
                ["", "N/A", "00:00:01.00", "99999999999999:00:00", "Video: h264, 999999x999999", "Audio: aac", "-00:00:00"]
            ),
            TEXTS,
        )
        | TEXTS,
        max_size=5,
    )
)
def test_whatever_ffmpeg_says_is_understood_or_passed_over(lines: list[str]) -> None:
    probed = understand(lines)

    assert probed.seconds is None or probed.seconds >= 0
