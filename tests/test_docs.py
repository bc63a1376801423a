"""The documentation is true: its tables are generated, and every command in it runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reference

from generator.commands import COMMANDS

DOCS = Path(__file__).parents[1] / "docs"
README = Path(__file__).parents[1] / "README.md"
GENERATED = {
    "experiment": lambda: reference.fields("experiment"),
    "environment": lambda: reference.fields("environment"),
    "metrics": reference.metrics,
    "runtimes": reference.runtimes,
    "codes": reference.problems,
}


@pytest.mark.parametrize("page", ["reference.md", "problems.md"])
def test_generated_tables_are_fresh(page: str, request: pytest.FixtureRequest) -> None:
    path = DOCS / page
    text = path.read_text()
    parts = re.split(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", text, flags=re.DOTALL)
    fresh = parts[0]
    for start, name, _old, end, after in zip(*(parts[i::5] for i in range(1, 6)), strict=True):
        fresh += f"{start}\n{GENERATED[name]()}\n\n{end}{after}"
    if request.config.getoption("--update"):
        path.write_text(fresh)
    assert path.read_text() == fresh


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()
    for name in COMMANDS:
        assert f"penstock {name}" in text, name
