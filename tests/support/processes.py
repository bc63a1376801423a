"""Programs that run beside a test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def stop(process: subprocess.Popen[Any]) -> None:
    """Ask a program to end, and make it end if it does not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
