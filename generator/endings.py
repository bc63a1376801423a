"""How the command ends: every error that a user can cause as a sentence, and only our own mistakes as a traceback.

Exit codes: 0 yes, 1 no, 2 usage, 3 could not find out; 130, 141 and 143 for the signals, as shells have it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from generator.problems import PenstockError, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

BROKEN_PIPE = 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What writing fails with; opening, too, but that names the file."""


def run(work: Callable[[], int]) -> int:
    """Do the work and return the exit code: what it returns or exits with, or what its error stands for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what waits to be written is removed
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the end)
    try:
        try:
            status = work()
        finally:
            sys.stdout.flush()
    except SystemExit as left:
        status = int(left.code or 0)
    except ProblemsError as error:
        from generator import report  # noqa: PLC0415 (start-up time)

        _say(report.problems(error.problems, "text"))
        status = error.exit_code
    except PenstockError as error:
        from generator.credentials import concealed  # noqa: PLC0415 (start-up time)

        _say(f"penstock: {concealed(str(error))}\n")
        status = error.exit_code
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        _give_up_output()
        status = BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 (a mistake of ours must not read as "no": Python would exit with 1)
        if isinstance(error, OSError) and error.errno in _NO_ROOM and not error.filename:
            _give_up_output()
            _say(f"penstock: the output cannot be written ({error.strerror}); write it somewhere else\n")
        else:
            import traceback  # noqa: PLC0415

            _say(f"{traceback.format_exc()}penstock: this is a bug; please report it with the lines above\n")
        status = 3
    return status


def leave(status: int) -> NoReturn:
    """End the process at once: to free one object after another takes Python longer than its own start.

    All that must happen before the end has happened: `run` has written what was printed, and what is to be removed is
    held by `with`.
    """
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _say(text: str) -> None:
    """Write to standard error; where that cannot be, the exit code still tells."""
    with suppress(OSError):
        sys.stderr.write(text)


def _give_up_output() -> None:
    """Let what waits to be written go nowhere, lest Python complains about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
