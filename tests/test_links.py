"""Links: where one leads out of the repository it is refused, and within it what it leads to is watched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from repositories import Outcome, Repository

SHIPPED = Path(__file__).parents[1] / "templates"
OUT = "error PS103: this path leads out of the repository\n    put a real file or folder there\n"


def linked(repository: Repository, tmp_path: Path, path: str) -> None:
    """Put a folder of templates, or one of them, outside the repository and a link to it inside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "httproute.yaml.j2").write_text((SHIPPED / "httproute.yaml.j2").read_text() + "\n# from elsewhere\n")
    link = repository.root / path
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / link.name if link.suffix else outside)


@pytest.mark.parametrize("path", ["templates", "templates/httproute.yaml.j2", "templates/parts"])
@pytest.mark.parametrize("command", ["render", "validate"])
def test_no_template_is_read_through_a_link_that_leads_out(
    repository: Repository, tmp_path: Path, path: str, command: str
) -> None:
    linked(repository, tmp_path, path)
    done = repository.penstock(command)
    assert (done.returncode, f"{path}: {OUT}" in done.stdout) == (1, True)
    assert repository.manifests() == {}


def test_nor_is_it_when_everything_was_up_to_date_before(repository: Repository, tmp_path: Path) -> None:
    assert repository.penstock("render").returncode == 0
    before = repository.manifests()
    linked(repository, tmp_path, "templates")
    for arguments in (["render"], ["render", "--check"], ["render", "-o", "-"]):
        done = repository.penstock(*arguments)
        assert (done.returncode, "from elsewhere" in done.stdout) == (1, False)
        assert f"templates: {OUT}" in done.stdout + done.stderr
    assert repository.manifests() == before


@pytest.mark.parametrize("path", ["templates/httproute.yaml.j2", "environments/production/experiments/linked.yaml"])
def test_what_a_link_leads_to_is_watched(repository: Repository, path: str) -> None:
    shared = repository.root / "shared"
    if path.startswith("templates"):
        text = (SHIPPED / "httproute.yaml.j2").read_text()
    else:
        text = (repository.root / "environments/production/experiments/recommendation-model.yaml").read_text()
        text = text.replace("recommendation-model", "linked")
    shared.write_text(text)
    (repository.root / path).parent.mkdir(exist_ok=True)
    (repository.root / path).symlink_to(shared)
    assert repository.penstock("render").returncode == 0
    assert tally(repository.penstock("render")) == 0
    shared.write_text(text.replace("recsys", "search") if "recsys" in text else f"{text}\n# changed\n")
    assert tally(repository.penstock("render")) > 0


def tally(done: Outcome) -> int:
    """Return how many files a run updated."""
    assert done.returncode == 0
    return int(done.stdout.splitlines()[-1].split(" update")[0].split()[-1])


def test_a_template_that_another_one_includes_is_no_stray(repository: Repository) -> None:
    templates = repository.root / "templates"
    templates.mkdir()
    (templates / "part.j2").write_text("# shared by all routes\n")
    (templates / "README.md").write_text("Ours.\n")
    route = (SHIPPED / "httproute.yaml.j2").read_text()
    (templates / "httproute.yaml.j2").write_text(route + '\n{% include "part.j2" %}\n')
    assert repository.penstock("render", "--fail-on-warn").returncode == 0
    (templates / "httproute.yaml.j2").write_text(route)
    done = repository.penstock("render", "--fail-on-warn")
    assert (done.returncode, "templates/part.j2: warning PS417" in done.stdout) == (1, True)


def test_a_copy_of_what_is_shipped_is_no_stray(repository: Repository) -> None:
    """So it is with an installed Penstock on its own checkout."""
    shutil.copytree(SHIPPED, repository.root / "templates")
    assert repository.penstock("render", "--fail-on-warn").returncode == 0


@pytest.mark.parametrize("part", ["environments", "environments/staging", "schemas", "environments/base/experiments"])
def test_init_writes_nothing_through_a_link_that_leads_out(repository: Repository, tmp_path: Path, part: str) -> None:
    new, outside = tmp_path / "new", tmp_path / "outside"
    outside.mkdir()
    (new / part).parent.mkdir(parents=True)
    (new / part).symlink_to(outside)
    done = repository.penstock("init", "new", cwd=tmp_path)
    assert (done.returncode, done.stdout, [*outside.iterdir()]) == (2, "", [])
    assert "a link on the way leads out of new: put a real folder there" in done.stderr


def test_init_follows_a_link_that_stays_inside(repository: Repository, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (new / "kept").mkdir(parents=True)
    (new / "environments").symlink_to("kept")
    assert repository.penstock("init", str(new)).returncode == 0
    assert (new / "kept/staging/environment.yaml").is_file()
