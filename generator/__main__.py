"""The command `penstock`, also as `python -m generator`."""

from __future__ import annotations

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, without the garbage collector while modules load: `batch` enables it for long runs."""
    gc.disable()
    from generator import cli  # noqa: PLC0415 (after the line above)

    cli.main()


if __name__ == "__main__":
    main()
