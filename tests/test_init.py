"""`penstock init`: it begins a repository that renders; one in use it leaves as it is, and says what is missing."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://github.com/example/models.git"
ADVICE = """\
keep    environments/production/environment.yaml
        it lacks, for you to add:
          spec:
            gitops:
              tool: argocd
              repository: https://github.com/example/models.git
              branch: main
"""


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_a_new_repository_renders_what_its_tool_needs(repository: Repository, tmp_path: Path, tool: str) -> None:
    new = Repository(tmp_path / "new")
    init = ("init", str(new.root), f"--{tool}", "--repository", URL, "--branch", "1.0")
    assert repository.penstock(*init).returncode == 0
    assert repository.penstock("render", cwd=new.root).returncode == 0
    for environment in ("staging", "production"):
        declared = new.read(f"environments/{environment}/environment.yaml")["spec"]["gitops"]
        assert declared == {"tool": tool, "repository": URL, "branch": "1.0"}
        assert (new.root / f"environments/{environment}/gitops/kustomization.yaml").is_file()
    before = new.files()
    again = repository.penstock(*init)
    assert (again.returncode, "create" in again.stdout, "lacks" in again.stdout) == (0, False, False)
    assert new.files() == before


@pytest.mark.needs("git")
def test_a_folder_of_a_larger_repository_is_applied_from_there(repository: Repository, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "mono")], check=True)
    new = Repository(tmp_path / "mono/ml/serving")
    assert repository.penstock("init", str(new.root), "--flux", "--repository", URL).returncode == 0
    assert new.read("environments/staging/environment.yaml")["spec"]["gitops"]["path"] == "ml/serving"


def test_an_environment_in_use_is_kept_and_its_lack_is_said(repository: Repository) -> None:
    before = repository.files()
    done = repository.penstock("init", ".", "--argocd", "--repository", URL)
    assert ADVICE in done.stdout
    assert {path: text for path, text in repository.files().items() if path in before} == before
    with repository.environment() as document:
        document["spec"]["gitops"] = {"tool": "argocd", "repository": URL}
    assert "gitops" not in repository.penstock("init", ".", "--argocd", "--repository", URL).stdout


@pytest.mark.parametrize(("declared", "asked"), [("flux", "argocd"), ("argocd", "flux")])
def test_an_environment_that_says_otherwise_is_kept_and_that_is_said(
    repository: Repository, declared: str, asked: str
) -> None:
    with repository.environment() as document:
        document["spec"]["gitops"] = {"tool": declared, "repository": URL, "branch": "live"}
    before = repository.files()
    done = repository.penstock("init", ".", f"--{asked}", "--repository", URL)
    assert (
        "keep    environments/production/environment.yaml\n"
        "        it says otherwise, which stays until you change it:\n"
        f"          spec.gitops.tool is `{declared}`, not `{asked}`\n"
        "          spec.gitops.branch is `live`, not `main`\n"
    ) in done.stdout
    assert {path: text for path, text in repository.files().items() if path in before} == before


@pytest.mark.parametrize("place", [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"])
def test_owners_in_use_are_kept_wherever_they_stand(repository: Repository, place: str) -> None:
    file = repository.root / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("* @me\n/environments/*/experiments/ @data # ours\n")
    (repository.root / ".gitattributes").write_text("* text=auto\n")
    done = repository.penstock("init", ".")
    assert (
        f"keep    {place}\n        it lacks, for you to add:\n          /environments/*/manifests/ @your-org/ml\n"
        in (done.stdout)
    )
    assert "experiments/ @" not in done.stdout
    assert "environments/*/gitops/** text eol=lf" in done.stdout
    assert file.read_text().startswith("* @me\n")
    assert [path for path in repository.files() if path.endswith("CODEOWNERS")] == [place]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--argocd"], "--argocd and --flux go together with --repository"),
        (["--repository", URL], "--argocd and --flux go together with --repository"),
        (["--flux", "--repository", "git@github.com:a/b.git"], "Flux takes https:// and ssh:// addresses only"),
        (["--argocd", "--repository", "/srv/a"], "'/srv/a' cannot be the repository: give a Git address without"),
        (["--argocd", "--repository", f"{URL}\n  x: y"], "cannot be the repository"),
        (["--argocd", "--repository", URL, "--branch", "-x"], "'-x' cannot be the branch: give a branch name"),
    ],
)
def test_what_cannot_be_applied_is_refused(
    repository: Repository, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = repository.penstock("init", str(tmp_path / "new"), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "new").exists()
