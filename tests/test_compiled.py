"""What loading the fast validator costs, and that what it is spared is left whole for others."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "import sys; from generator.documents import compiled; compiled.validator('{}')\n"


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("assert 'socket' not in sys.modules", id="no socket for the date of a build"),
        pytest.param(
            "import email.utils; assert email.utils.formataddr(('a', 'a@b.c')) == 'a <a@b.c>'",
            id="the real one afterwards",
        ),
        pytest.param("assert 'email.utils' not in sys.modules", id="no stand-in"),
    ],
)
def test_the_library_is_loaded_light_and_leaves_nothing_behind(then: str) -> None:
    subprocess.run([sys.executable, "-c", LOAD + then], check=True)


def test_a_library_that_wants_more_of_the_mail_module_gets_it() -> None:
    wants_more = """
import sys
from generator.documents import compiled
stand_in = sys.modules["email.utils"] = compiled._BuildDate("email.utils")
from email.utils import formataddr
assert formataddr(("a", "a@b.c")) == "a <a@b.c>"
import email.utils
assert email.utils is not stand_in
assert stand_in.formataddr is formataddr, "the real module is loaded once"
"""
    subprocess.run([sys.executable, "-c", wants_more], check=True)
