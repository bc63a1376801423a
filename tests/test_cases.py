"""One folder in cases/ is one golden case, a repository with its rendered manifests; one in invalid/ is one mistake.

`pytest --update` renders the cases anew and rewrites the messages: read the difference before committing it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cli import cli

HERE = Path(__file__).parent
CASES = sorted(path.name for path in (HERE / "cases").iterdir() if path.is_dir())
MISTAKES = sorted(path.name for path in (HERE / "invalid").iterdir() if path.is_dir() and path.name[0] != "_")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("case", CASES)
def test_case_renders_as_committed(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        run("render", "--force", "-C", str(HERE / "cases" / case))
    copy = shutil.copytree(HERE / "cases" / case, tmp_path / case)
    code, output = run("render", "--check", "-C", str(copy))
    assert code == 0, output
    for folder in (copy / "environments").iterdir():
        shutil.rmtree(folder / "manifests", ignore_errors=True)
    code, output = run("render", "-C", str(copy))
    assert code == 0, output
    assert _files(copy) == _files(HERE / "cases" / case)


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_explained(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = HERE / "invalid" / case
    copy = shutil.copytree(HERE / "invalid" / "_base", tmp_path / "repository")
    shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("message.txt"))
    code, output = run("validate", "-C", str(copy))
    message = folder / "message.txt"
    if request.config.getoption("--update"):
        message.write_text(f"{output}exit code {code}\n")
    assert f"{output}exit code {code}\n" == message.read_text()


def test_every_mistake_says_how_to_mend_it() -> None:
    for case in MISTAKES:
        lines = (HERE / "invalid" / case / "message.txt").read_text().splitlines()
        findings = [number for number, line in enumerate(lines) if " PS" in line]
        assert findings, case
        for number in findings:
            assert lines[number + 1].startswith("    "), case


def _files(root: Path) -> dict[str, bytes]:
    return {os.path.relpath(path, root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
