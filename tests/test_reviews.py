"""One folder in reviews/ is one pull request: what lies in before/ and after/ is laid over the repository of _base/.

A file there is a merge patch of the one that it is laid over, or a new one; an empty file deletes. `case.yaml` may say
how long the state before lasted, who made the change, when, with which message, whether its manifests are rendered, and
which folders of the state before are left all the same. With `deployed`, the manifests of _base are committed with the
state before, which may be wrong.
`pytest --update` rewrites review.md and diff.txt: read them before committing them, as a reviewer would.
"""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gitrepos import commit, git
from repositories import as_yaml, parsed

from generator.cli import cli
from generator.documents.overlay import merge
from generator.problems import PenstockError
from generator.reviews.differences import aspect
from generator.reviews.transitions import AUTHORITY

pytestmark = pytest.mark.needs("git")

HERE = Path(__file__).parent / "reviews"
CASES = sorted(path.name for path in HERE.iterdir() if path.name[0] != "_")
BEGIN = datetime.datetime(2030, 6, 3, 9, tzinfo=datetime.UTC)  # a Monday


def lay(source: Path, root: Path) -> None:
    """Lay files over those of a repository."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        target = root / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text()
        if not text:
            target.unlink()
        elif file.suffix == ".yaml" and target.exists() and not text.startswith("# as it stands"):
            target.write_text(as_yaml(merge(parsed(target.read_text()), parsed(text))))
        else:
            target.write_text(text)


def run(monkeypatch: pytest.MonkeyPatch, moment: datetime.datetime, *arguments: str) -> str:
    """Run a command at a moment; return what it prints, and its exit code."""
    monkeypatch.setattr("time.time", moment.timestamp)
    monkeypatch.setattr("generator.runs.run.today", lambda: moment.date().isoformat())
    result = CliRunner().invoke(cli, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, PenstockError)
        return f"penstock: {result.exception}\nexit code {result.exception.exit_code}\n"
    return f"{result.output}exit code {result.exit_code}\n"


def play(case: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[datetime.datetime, dict[str, Any]]:
    """Make the two commits of a case; return the moment of the review, and what the case says."""
    told: dict[str, Any] = {"soaked": 120, "email": "author@example.com", "render": True, "base": "HEAD~1"}
    told |= {"message": "After", "left": [], "deployed": False}
    if (HERE / case / "case.yaml").exists():
        told |= parsed((HERE / case / "case.yaml").read_text())
    shutil.copytree(HERE / "_base", root)
    git(root, "init", "--quiet", "--initial-branch=main")
    if told["deployed"]:
        run(monkeypatch, BEGIN, "render", "-C", str(root))
    lay(HERE / case / "before", root)
    run(monkeypatch, BEGIN, "render", "-C", str(root))
    commit(root, "Before", at=BEGIN.isoformat())
    moment = BEGIN + datetime.timedelta(minutes=told["soaked"])
    lay(HERE / case / "after", root)
    if told["render"]:
        run(monkeypatch, moment, "render", "-C", str(root))
    for folder in told["left"]:
        git(root, "checkout", "HEAD", "--", folder)
    commit(root, told["message"], email=told["email"], at=moment.isoformat())
    return moment, told


def unnamed(text: str, root: Path, base: str) -> str:
    """Take out what is by chance: the folder and the names of commits."""
    text = text.replace(str(root), "/repository")
    for number, one in enumerate(reversed(git(root, "rev-list", "HEAD").split())):
        text = text.replace(one, f"commit-{number}").replace(one[:12], f"commit-{number}")
    assert base
    return text


@pytest.mark.parametrize("case", CASES)
def test_case_reads_as_committed(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "repository"
    moment, told = play(case, root, monkeypatch)
    between = ("-C", str(root), "--base", told["base"], "--head", "HEAD")
    said = {
        "review.md": run(monkeypatch, moment, "review", *between, "-o", "markdown"),
        "diff.txt": run(monkeypatch, moment, "diff", *between),
    }
    for name, text in said.items():
        fresh = unnamed(text, root, told["base"])
        if request.config.getoption("--update"):
            (HERE / case / name).write_text(fresh)
        assert fresh == (HERE / case / name).read_text()


def test_a_link_in_the_place_of_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "repository"
    moment, _ = play("nothing", root, monkeypatch)
    file = "environments/production/experiments/ranking.yaml"
    (root / "elsewhere.yaml").write_text((root / file).read_text())
    (root / file).unlink()
    (root / file).symlink_to("../../../elsewhere.yaml")
    commit(root, "A link")
    said = run(monkeypatch, moment, "review", "-C", str(root), "--base", "HEAD~1", "--head", "HEAD")
    assert f"{file}: error PS101: this is a link in the commit, and no file; what it leads to is not read\n" in said
    assert "    commit the file itself in its place\n" in said


def test_a_limit_is_of_markdown_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "repository"
    moment, _ = play("two-experiments", root, monkeypatch)
    between = ("-C", str(root), "--base", "HEAD~1", "--head", "HEAD", "--limit", "2000")
    cut = run(monkeypatch, moment, "review", *between, "-o", "markdown")
    assert len(cut.encode()) < 2100
    assert "**Cut to fit 2,000 characters.** Left out: 2 pictures, 1 table." in cut
    said = run(monkeypatch, moment, "review", *between, "-o", "json")
    assert said.endswith("Error: --limit is of -o markdown only: the other forms are whole\nexit code 2\n")


@pytest.mark.parametrize(
    "case", ["traffic", "storage", "renamed", "added", "removed", "gateway", "soak-not-met", "environment-renamed"]
)
def test_the_working_tree_reads_as_its_commit_will(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an earlier run has found the manifests right, so that nothing is built."""
    root = tmp_path / "repository"
    moment, _ = play(case, root, monkeypatch)
    between = ("-C", str(root), "--base", "HEAD~1")
    for command in ("diff", "review"):
        committed = run(monkeypatch, moment, command, *between, "--head", "HEAD", "-o", "json")
        git(root, "reset", "--quiet", "--soft", "HEAD~1")
        here = run(monkeypatch, moment, command, "-C", str(root), "--base", "HEAD", "-o", "json")
        git(root, "commit", "--quiet", "--message=After")
        assert json.loads(here.rpartition("exit")[0]) | {"head": ""} == json.loads(committed.rpartition("exit")[0]) | {
            "head": ""
        }


def test_every_field_of_an_experiment_falls_under_an_area_of_authors() -> None:
    schemas = {
        kind: json.loads((HERE.parents[1] / "schemas" / f"{kind}.json").read_text())["properties"]["spec"]["properties"]
        for kind in ("experiment", "environment")
    }
    areas = schemas["environment"]["policy"]["properties"]["authors"]["properties"]
    assert {AUTHORITY[aspect((field,))] for field in (*schemas["experiment"], "unknown", "policy")} == areas.keys()


@pytest.mark.parametrize("command", ["diff", "review"])
def test_an_environment_that_neither_side_has_is_a_mistake_of_usage(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repository"
    moment, _ = play("environment-removed", root, monkeypatch)
    between = (command, "-C", str(root), "--base", "HEAD~1", "--head", "HEAD")
    assert run(monkeypatch, moment, *between, "-e", "stagin") == (
        "penstock: there is no environment 'stagin'; did you mean staging?\nexit code 2\n"
    )
    assert "environment staging" in run(monkeypatch, moment, *between, "-e", "staging")


@pytest.mark.parametrize("name", ["working tree", "working-tree"])
def test_the_working_tree_has_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "repository"
    moment, _ = play("traffic", root, monkeypatch)
    git(root, "reset", "--quiet", "--soft", "HEAD~1")
    for command in ("diff", "review"):
        asked = (command, "-C", str(root), "--base", "HEAD")
        assert run(monkeypatch, moment, *asked, "--head", name) == run(monkeypatch, moment, *asked)


def test_what_is_not_committed_yet_is_held_against_whoever_would_commit_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repository"
    moment, _ = play("author-not-allowed", root, monkeypatch)
    git(root, "reset", "--quiet", "--soft", "HEAD~1")
    monkeypatch.delenv("GIT_AUTHOR_EMAIL")

    def refused() -> list[str]:
        report = run(monkeypatch, moment, "review", "-C", str(root), "--base", "HEAD", "-o", "json")
        return [one["message"] for one in json.loads(report.rpartition("exit")[0])["problems"]]

    git(root, "config", "user.email", "INTERN@example.com")
    assert refused() == [
        "what is not committed yet: INTERN@example.com may not change traffic here; these may: *@recsys.example.com"
    ]
    git(root, "config", "user.email", "ada@recsys.example.com")
    assert refused() == []
    (root / "environments/production/experiments/recommendation-model.yaml").unlink()
    git(root, "config", "user.email", "intern@example.com")
    assert refused()[0].partition(":")[0] == "what is not committed yet"
