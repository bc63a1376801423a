"""What users copy into their CI: the GitLab job runs as it stands, and the image is what the docs say."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from repositories import Repository

ROOT = Path(__file__).parents[1]
JOB: dict[str, Any] = yaml.safe_load((ROOT / "docs/gitlab-ci.yml").read_text())["penstock"]


@pytest.mark.parametrize(("share", "review", "status"), [(20, 0, 0), (20, 1, 1), (19, 0, 1), (20, 3, 3)])
def test_the_gitlab_job_leaves_its_reports_and_fails_when_it_should(
    repository: Repository, tmp_path: Path, share: int, review: int, status: int
) -> None:
    program = tmp_path / "bin/penstock"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nif [ "$1" != review ]; then exec {shlex.quote(sys.executable)} -P -m generator "$@"; fi\n'
        f'echo "$@"; exit {review}\n'
    )
    program.chmod(0o755)
    repository.penstock("render")
    with repository.experiment() as document:
        document["spec"]["traffic"]["v2"] = share
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(JOB["script"])],
        cwd=repository.root,
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc"},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == status, done.stdout + done.stderr
    for path in JOB["artifacts"]["paths"]:
        assert (repository.root / path).read_text() == "review --base=abc --head=HEAD -o markdown\n"
    ET.parse(repository.root / JOB["artifacts"]["reports"]["junit"])


def test_the_gitlab_job_has_git_and_the_whole_history() -> None:
    assert JOB["variables"]["GIT_DEPTH"] == "0"
    assert any("git" in line.split() for line in JOB["before_script"])
    assert re.fullmatch(r"penstock==\d+\.\d+\.\d+", JOB["variables"]["PENSTOCK"])
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version
    assert JOB["variables"]["PENSTOCK"] == f"penstock=={version[1]}"


def test_the_image_is_small_pinned_and_not_root() -> None:
    """What the instructions say; that they build and run is the business of the workflow `ci`."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    bases = [words.split()[0] for name, words in lines if name == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    last = dict(lines[[name for name, _ in lines].index("FROM", 1) :])
    assert int(last["USER"]) > 0
    assert json.loads(last["ENTRYPOINT"]) == ["penstock"]
    assert " git " in last["RUN"]


def test_the_image_is_built_from_all_that_the_package_needs_and_nothing_else() -> None:
    instructions = (ROOT / "Dockerfile").read_text()
    copied = {
        one for line in re.findall(r"^COPY (?!--)(.*) \S+$", instructions, flags=re.MULTILINE) for one in line.split()
    }
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert copied == {one.removeprefix("!") for one in ignored if one.startswith("!")}
    project = (ROOT / "pyproject.toml").read_text()
    (included,) = re.findall(r"^only-include = (\[.*\])$", project, flags=re.MULTILINE)
    (licences,) = re.findall(r"^license-files = (\[.*\])$", project, flags=re.MULTILINE)
    needed = {*json.loads(included), *json.loads(licences), "README.md", "pyproject.toml"}
    assert needed == copied
    assert all((ROOT / one).exists() for one in copied)
    assert not fnmatch.filter(copied, "*test*")
