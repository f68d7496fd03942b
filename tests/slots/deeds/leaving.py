"""Jobs that leave processes, threads and forks behind."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time

from tests.slots.deeds.hanging import swallow_all
from tests.slots.deeds.kinds import Ctx, deed


@deed
def leave_children(_ctx: Ctx, how: str) -> int:
    match how:
        case "plain":
            return subprocess.Popen(["sleep", "600"]).pid
        case "session":
            return subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        case "no environment":
            return subprocess.Popen(["sleep", "600"], start_new_session=True, env={}).pid
        case "daemon":
            # The classical way: the middle process ends, the last one is nobody's child.
            sleep = "s.Popen(['sleep', '600'], stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True)"
            code = f"import subprocess as s; print({sleep}.pid)"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={}, start_new_session=True)
            return int(done.stdout)
        case "deaf":
            code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            return child.pid
        case _:
            raise AssertionError(how)


@deed
def nest_processes(_ctx: Ctx, depth: int) -> None:
    """Shells that wait for one another, so many deep; the last one says `bottom`."""
    script = 'if [ "$1" -gt 1 ]; then sh -c "$0" "$0" $(($1 - 1)); else echo bottom; fi; sleep 600'
    subprocess.run(["sh", "-c", script, script, str(depth)], check=True)


@deed
def fork_idly(_ctx: Ctx, size: int, forks: int) -> None:
    """Hold so many bytes, and share them with children that do nothing."""
    held = bytearray(size)
    held[::4096] = bytes(len(held[::4096]))
    children = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)) for _ in range(forks)]
    for child in children:
        child.start()
    print("forked", flush=True)
    for child in children:
        child.join()


@deed
def leave_children_and_hang(ctx: Ctx, how: str) -> None:
    print(leave_children(ctx, how), flush=True)
    swallow_all(ctx)


@deed
def leave_children_and_crash(ctx: Ctx) -> None:
    print(leave_children(ctx, "session"), flush=True)
    os._exit(3)


@deed
def leave_thread(_ctx: Ctx) -> None:
    threading.Thread(target=time.sleep, args=(600,), name="left").start()


@deed
def use_multiprocessing(_ctx: Ctx, method: str) -> int:
    with multiprocessing.get_context(method).Pool(1) as pool:
        return sum(pool.map(abs, [-1, -2]))


@deed
def fork_and_return(_ctx: Ctx) -> str:
    """Both the parent and the child come back from here."""
    child = os.fork()
    print("line of a fork" if child == 0 else "line of the parent")
    if child:
        os.waitpid(child, 0)
    return "child" if child == 0 else "parent"


@deed
def fork_and_flood(_ctx: Ctx) -> None:
    """Children print at the same time as their parent, through the objects that they have inherited."""
    children = []
    for child in range(3):
        if pid := os.fork():
            children.append(pid)
        else:
            for number in range(300):
                print(f"child {child} line {number} " + "y" * 1000)
                logging.getLogger("tests").info("child %d", child)
            os._exit(0)
    for number in range(300):
        print(f"parent line {number} " + "x" * 6000)
    for pid in children:
        os.waitpid(pid, 0)
