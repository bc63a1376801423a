"""How the command ends: every error that a user can cause as a sentence, and only our own mistakes as a traceback.

Exit codes: 0 yes, 1 no, 2 usage, 3 could not find out; 130, 141 and 143 for the signals, as shells have it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from generator.problems import PenstockError, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


def run(work: Callable[[], int]) -> NoReturn:
    """Do the work and exit with the code that it returns or that its error stands for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what waits to be written is removed
    try:
        status = work()
        sys.stdout.flush()
    except ProblemsError as error:
        from generator import report  # noqa: PLC0415 (start-up time)

        sys.stderr.write(report.problems(error.problems, "text"))
        status = error.exit_code
    except PenstockError as error:
        sys.stderr.write(f"penstock: {error}\n")
        status = error.exit_code
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception:  # noqa: BLE001 (a mistake of ours must not read as "no": Python would exit with 1)
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        sys.stderr.write("penstock: this is a bug; please report it with the lines above\n")
        status = 3
    sys.exit(status)
