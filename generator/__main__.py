"""The command `penstock`, also as `python -m generator`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line.

    A plain `penstock render` with nothing to do is answered before the command line is even loaded, which takes half of
    its time. The garbage collector only slows the loading of modules down; `batch` enables it for long runs.
    """
    gc.disable()
    match sys.argv[1:]:
        case ["render"]:
            directory = "."
        case ["render", "-C", directory]:
            pass
        case _:
            directory = ""
    if directory:
        from generator import run  # noqa: PLC0415 (each of these loads only what it needs)

        done = run.idle(directory, run.today())
        if done:
            sys.stdout.write(f"{done}\n")
            sys.exit(0)
    from generator import cli  # noqa: PLC0415

    cli.main()


if __name__ == "__main__":
    main()
