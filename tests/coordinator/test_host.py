"""Another coordinator of this host is known to be gone only when it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

MAY_HIDE: Final = (
    sys.platform == "linux"
    and os.geteuid() == 0
    and shutil.which("unshare") is not None
    and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
)

LOOK: Final = """
import os
from heavyjobs.coordinator.host import is_gone, is_stopped, new_session
from heavyjobs.store.records import SessionSeen

here = new_session("here")
seen = SessionSeen(here.id, 1, here.name, here.host, here.boot_id, here.pid, here.pid_started)
if os.fork() == 0:
    os.setgid(65534)
    os.setuid(65534)
    print(os.access(f"/proc/{here.pid}/stat", os.R_OK), is_gone(seen, here=here), is_stopped(seen, here=here), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.fault("process: a coordinator of another user, whose processes are hidden from ours")
@pytest.mark.skipif(not MAY_HIDE, reason="/proc cannot be mounted here; run these tests as root, with unshare (util-linux)")
@pytest.mark.parametrize("hidepid", [1, 2])
def test_a_coordinator_whose_process_is_hidden_is_not_taken_for_gone(hidepid: int) -> None:
    script = f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$0" -c "$1"'

    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, LOOK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert told.stdout.split() == ["False", "False", "False"], told.stderr
