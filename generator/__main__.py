"""The command `penstock`, also as `python -m generator`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def start() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    status = main()
    from generator import endings  # noqa: PLC0415 (each of these loads only what it needs)

    endings.leave(status)


def main() -> int:
    """Run the command line; return the exit code.

    The garbage collector only slows the loading of modules down; `batch` enables it for long runs.
    """
    gc.disable()
    from generator import endings  # noqa: PLC0415

    return endings.run(_work)


def _work() -> int:
    from generator import plain  # noqa: PLC0415

    status = plain.run(sys.argv[1:])
    if status is None:
        from generator import cli  # noqa: PLC0415

        status = cli.main()
    return status


if __name__ == "__main__":
    start()
