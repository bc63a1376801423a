"""Progress is for somebody who waits at a terminal: a real one, and a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

SLOW = """
import sys, time
from generator.runs.progress import shown
for _ in shown(range(int(sys.argv[1])), 50):
    time.sleep(float(sys.argv[2]))
"""


def on_a_terminal(items: int, pause: float) -> str:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", SLOW, str(items), str(pause)], stderr=theirs, check=True)
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
    os.close(ours)
    return text.decode()


def test_a_terminal_shows_how_far_long_work_is_and_nothing_stays() -> None:
    lines = on_a_terminal(10, 0.15).split("\r\x1b[K")
    assert lines[0] == lines[-1] == ""
    assert lines[1].endswith(" of 50 experiments")
    numbers = [int(line.split()[0]) for line in lines[1:-1]]
    assert numbers == sorted(numbers)
    assert set(numbers) <= {*range(5, 50, 5)}  # how soon it says the first depends on how busy the machine is


def test_short_work_says_nothing() -> None:
    assert on_a_terminal(2, 0.01) == ""


def test_a_pipe_gets_nothing() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SLOW, "9", "0.15"], capture_output=True, check=True)
    assert time.monotonic() - start > 1
    assert done.stderr == b""
