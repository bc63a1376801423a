"""Where the shipped templates and schemas are: in the package (a wheel) or beside it (a checkout)."""

from __future__ import annotations

import os
from functools import cache


@cache
def directory(name: str) -> str:
    """Return the path of the shipped folder `templates` or `schemas`."""
    package = os.path.dirname(os.path.abspath(__file__))
    for root in (package, os.path.dirname(package)):
        path = os.path.join(root, name)
        if os.path.isdir(path):
            return path
    raise FileNotFoundError(f"{name}/ is neither in the package nor beside it")
