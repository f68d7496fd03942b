"""A lifeline ends the groups that are tied to it as soon as nobody holds its other end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

TIE: Final = """
import os, resource, subprocess, sys
from heavyjobs import lifeline
files = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (files + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
opened = [open(os.devnull) for _ in range(files)]
lifeline.hold(int(sys.argv[2]))
far = subprocess.Popen(["sleep", "600"], start_new_session=True)
assert lifeline.tie(far.pid) is not None
print("tied", flush=True)
print(far.wait(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a lifeline needs F_SETSIG, which only Linux has; run these tests on Linux")
@pytest.mark.parametrize("files", [10, 1500])
def test_groups_tied_to_a_lifeline_end_with_it_however_many_files_the_process_has_open(files: int, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    argv = [sys.executable, "-c", TIE, str(files), str(reading)]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(argv, pass_fds=[reading], stdout=subprocess.PIPE, stderr=said, process_group=0)
        os.close(reading)
        assert process.stdout is not None
        assert process.stdout.readline() == b"tied\n", (tmp_path / "said").read_text()

        os.close(writing)

        assert process.wait(30) == -signal.SIGKILL
        process.stdout.close()
