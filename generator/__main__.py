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

    A plain `penstock render` does without the library that reads arguments: loading it takes as long as the work, and
    several times as long as seeing that there is nothing to do. The garbage collector only slows the loading of modules
    down; `batch` enables it for long runs.
    """
    gc.disable()
    match sys.argv[1:]:
        case ["render"]:
            directory = "."
        case ["render", "-C", directory]:
            pass
        case _:
            directory = ""
    from generator import endings  # noqa: PLC0415

    return endings.run(lambda: _plain(directory) if directory else _any())


def _plain(directory: str) -> int:
    """Render all that there is; where that is nothing, the command line says what to do."""
    from generator import repository  # noqa: PLC0415
    from generator.runs import run  # noqa: PLC0415

    inventory = repository.take(repository.find(directory))
    if not inventory.environments:
        return _any()
    work = run.prepare(inventory, inventory.environments, run.Options(run.today(), write=True))
    if not (work.stale or work.listings or work.problems or inventory.problems):
        sys.stdout.write(f"{run.summary({'create': 0, 'update': 0, 'delete': 0, 'same': work.files})}\n")
        return 0
    from generator import problems  # noqa: PLC0415
    from generator.runs import changes  # noqa: PLC0415

    result = run.finish(work)
    found = [*inventory.problems, *result.problems]
    changes.show(result, found, "text", dry=False)
    return problems.status(found)


def _any() -> int:
    from generator import cli  # noqa: PLC0415

    return cli.main()


if __name__ == "__main__":
    start()
