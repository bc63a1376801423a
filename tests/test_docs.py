"""The documentation is true: its tables are generated, and every command in it runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import gitrepos
import pytest
import reference
import yaml
from repositories import Repository

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


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def documented(repository: Repository, tmp_path: Path) -> Repository:
    """Return a repository such as `penstock init .` makes, committed, where commands of the docs find `penstock`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "penstock").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m generator "$@"\n')
    (programs / "penstock").chmod(0o755)
    new = Repository(tmp_path / "documented")
    assert repository.penstock("init", str(new.root)).returncode == 0
    assert new.invoke("render").exit_code == 0
    gitrepos.start(new.root)
    return new


def shell(repository: Repository, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader would, in the root of a repository."""
    path = f"{repository.root.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=repository.root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


PAGES = sorted([README, *DOCS.glob("*.md")])
BLOCKS = [(page.name, block) for page in PAGES for block in blocks(page, "sh") if "penstock" in block]


@pytest.mark.needs("git")
@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_every_command_in_the_docs_runs(page: str, block: str, documented: Repository) -> None:
    """Setting up needs a network, and is done by `.ci/run` with the README's own words; the rest is done here."""
    script = re.sub(r"^python3 -m venv .*?pip install [^&]*&& \.venv/bin/", "", block, flags=re.MULTILINE)
    done = shell(documented, script)
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"


@pytest.mark.needs("git")
def test_the_experiment_in_the_readme_is_valid_and_renders(documented: Repository) -> None:
    (block,) = (one for one in blocks(README, "yaml") if "kind: Experiment" in one)
    for file in documented.root.glob("environments/*/experiments/*.yaml"):
        file.unlink()
    (documented.root / "environments/production/experiments/recommendation-model.yaml").write_text(block)
    done = shell(documented, "penstock render --fail-on-warn")
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("git")
def test_the_hooks_in_the_docs_exist_and_run(documented: Repository) -> None:
    offered = {
        one["id"]: one["entry"] for one in yaml.safe_load((README.parent / ".pre-commit-hooks.yaml").read_text())
    }
    (block,) = (one for one in blocks(DOCS / "gitops.md", "yaml") if "pre-commit" in one)
    hooks = [hook["id"] for one in yaml.safe_load(block)["repos"] for hook in one["hooks"]]
    assert sorted(hooks) == sorted(offered)
    for hook in hooks:
        done = shell(documented, offered[hook])
        assert done.returncode == 0, done.stdout


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()
    for name in COMMANDS:
        assert f"penstock {name}" in text, name
