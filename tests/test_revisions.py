"""Two revisions are compared without a checkout, and a commit is read as if it were one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from gitrepos import commit, git, start
from repositories import ENVIRONMENT, EXPERIMENT, Repository, built, recommendation

from generator.domain import interpret
from generator.repository import environment_file, experiment_file
from generator.reviews import overlaps
from generator.reviews.builds import Builds
from generator.runs.run import Options
from generator.versions import revisions
from generator.versions.git import GitError

pytestmark = pytest.mark.needs("git")

PLACE = (ENVIRONMENT, EXPERIMENT)
TODAY = Options("2026-11-21")


@pytest.fixture
def three(repository: Repository) -> Repository:
    """Production with two experiments, one of them over a base, and staging, which has the latter too; committed."""
    case = recommendation()
    case.environment["metadata"]["name"] = "staging"
    case.environment["spec"]["namespace"] = "staging"
    repository.put(case)
    repository.write(experiment_file("base", EXPERIMENT), case.experiment)
    case.experiment["metadata"]["name"] = "second"
    repository.write(experiment_file(ENVIRONMENT, "second"), case.experiment)
    start(repository.root)
    return repository


def affected(repository: Repository, base: str = "HEAD", head: str = "") -> list[str]:
    with revisions.compared(str(repository.root), base, head) as found:
        return ["/".join(one) for one in found.affected]


def edits() -> dict[str, tuple[str, list[str]]]:
    """Return, by name, a file to append a comment to, and what that affects."""
    both, second = [f"{ENVIRONMENT}/{EXPERIMENT}", f"staging/{EXPERIMENT}"], f"{ENVIRONMENT}/second"
    return {
        "own file": (experiment_file("staging", EXPERIMENT), both[1:]),
        "base": (experiment_file("base", EXPERIMENT), both),
        "environment": (f"environments/{ENVIRONMENT}/environment.yaml", [both[0], second]),
        "template": ("templates/httproute.yaml.j2", [both[0], second, both[1]]),
        "manifest": (f"environments/{ENVIRONMENT}/manifests/traffic/second/route.yaml", [second]),
        "readme": ("README.md", []),
        "readme inside": (f"environments/{ENVIRONMENT}/README.md", []),
        "evidence": (f"environments/{ENVIRONMENT}/evidence/second/1.json", []),
        "no experiment": (f"environments/{ENVIRONMENT}/experiments/notes.txt", []),
        "a hidden file": (f"environments/{ENVIRONMENT}/experiments/.second.yaml", []),
    }


@pytest.mark.parametrize("name", edits())
def test_what_an_edit_affects(three: Repository, name: str) -> None:
    path, expected = edits()[name]
    file = three.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((file.read_text() if file.exists() else "") + "# a comment\n")
    if name != "manifest":  # whether manifests on disk are up to date is what rendering tells
        assert affected(three) == expected
    git(three.root, "add", "--all")
    if name != "manifest":
        assert affected(three) == expected
    commit(three.root)
    assert affected(three, "HEAD~1") == expected
    assert affected(three, "HEAD~1", "HEAD") == expected
    assert affected(three, "HEAD", "HEAD~1") == expected
    assert affected(three) == []


def test_experiments_come_and_go_also_where_git_does_not_look(three: Repository) -> None:
    (three.root / ".gitignore").write_text("new.yaml\n")
    folder = three.root / f"environments/{ENVIRONMENT}/experiments"
    shutil.copy(folder / "second.yaml", folder / "new.yaml")
    (folder / "second.yaml").unlink()
    assert affected(three) == [f"{ENVIRONMENT}/new", f"{ENVIRONMENT}/second"]
    git(three.root, "rm", "--quiet", "--cached", experiment_file("staging", EXPERIMENT))
    assert affected(three) == [f"{ENVIRONMENT}/new", f"{ENVIRONMENT}/second", f"staging/{EXPERIMENT}"]


def test_an_environment_that_goes_takes_its_experiments_along(three: Repository) -> None:
    shutil.rmtree(three.root / "environments/staging")
    with revisions.compared(str(three.root), "HEAD") as found:
        assert (found.affected, found.environments) == ((("staging", EXPERIMENT),), ("staging",))
        assert found.before.declares("staging", EXPERIMENT)
        assert not found.after.declares("staging", EXPERIMENT)
    assert affected(three, "HEAD", "HEAD") == []
    with revisions.compared(str(three.root), "HEAD", only=[ENVIRONMENT]) as found:
        assert (found.affected, found.environments) == ((), ())


def test_a_commit_renders_as_its_checkout_does(three: Repository) -> None:
    case = recommendation()
    before = built(three, case, in_base=True).manifests
    three.invoke("render")
    commit(three.root)
    with three.experiment() as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 50}
    commit(three.root)
    with revisions.compared(str(three.root), "HEAD~1", "HEAD") as found:
        for state, share in ((found.before, 20), (found.after, 50)):
            read = Builds(state, TODAY).build(*PLACE)
            assert read.experiment.candidates[0].traffic == share
            committed = found.manifests(state, ENVIRONMENT, EXPERIMENT)
            assert committed.keys() == {one.planned.path for one in read.manifests}
        assert Builds(found.before, TODAY).build(*PLACE).manifests == before


def test_manifests_of_nothing_are_left_where_they_come_and_where_their_experiment_goes(three: Repository) -> None:
    def left(base: str, head: str = "") -> list[str]:
        with revisions.compared(str(three.root), base, head) as found:
            return ["/".join(one) for one in found.left]

    route = three.root / f"environments/{ENVIRONMENT}/manifests/traffic/nobody/route.yaml"
    route.parent.mkdir(parents=True)
    route.write_text("# of nobody\n")
    assert left("HEAD") == [f"{ENVIRONMENT}/nobody"]
    commit(three.root)
    assert left("HEAD~1", "HEAD") == [f"{ENVIRONMENT}/nobody"]
    assert left("HEAD") == left("HEAD", "HEAD") == []  # they were just so before
    route.with_name("more.yaml").touch()
    commit(three.root)
    assert left("HEAD~1", "HEAD") == [f"{ENVIRONMENT}/nobody"]
    three.invoke("render", "second")
    commit(three.root)
    (three.root / experiment_file(ENVIRONMENT, "second")).unlink()
    assert left("HEAD") == [f"{ENVIRONMENT}/second"]
    commit(three.root)
    assert left("HEAD~1", "HEAD") == [f"{ENVIRONMENT}/second"]


def test_overlaps_are_of_whole_names(three: Repository) -> None:
    model = "gs://models/overlap"
    for name, uri in (("longer", f"{model}-2"), ("beneath", f"{model}/2"), ("same", model), (EXPERIMENT, model)):
        document = three.read(experiment_file(ENVIRONMENT, "second"))
        document["metadata"]["name"] = name
        document["spec"]["variants"] = {"v1": {"storageUri": f"gs://models/of-{name}"}, "v2": {"storageUri": uri}}
        three.write(experiment_file(ENVIRONMENT, name), document)
    place = interpret.environment(str(three.root), ENVIRONMENT)
    read = interpret.experiment(str(three.root), place.environment, place.document, EXPERIMENT, in_base=True)
    with revisions.compared(str(three.root), "HEAD") as found:
        overlapping = overlaps.find(str(three.root), found.after, [read.experiment])()
        assert overlapping.models(read.experiment) == (f"{ENVIRONMENT}/same",)


def test_a_commit_is_checked_out_where_all_of_an_experiment_is_on_disk(three: Repository) -> None:
    three.invoke("render")
    commit(three.root)
    manifest = min((three.root / f"environments/{ENVIRONMENT}/manifests/traffic/{EXPERIMENT}").iterdir())
    template = three.root / "templates/httproute.yaml.j2"
    files = [
        experiment_file(*PLACE),
        experiment_file("base", EXPERIMENT),
        f"environments/{ENVIRONMENT}/environment.yaml",
    ]
    with three.experiment() as document:
        document["spec"]["owner"] = "another"
    commit(three.root)
    with revisions.compared(str(three.root), "HEAD~1", "HEAD") as found:

        def checked_out(state: revisions.State) -> bool:
            manifests = found.manifests(state, *PLACE)
            assert manifests
            return revisions.is_checked_out(str(three.root), state, *PLACE, manifests)

        assert (checked_out(found.before), checked_out(found.after)) == (False, True)
        for file in (*(three.root / one for one in files), manifest, template):
            text = file.read_text() if file.exists() else ""
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{text}# a comment\n")
            assert not checked_out(found.after), file
            file.write_text(text)
        shutil.rmtree(template.parent)
        (manifest.parent / "more.yaml").touch()
        assert not checked_out(found.after)


def test_a_repository_may_lie_in_a_folder_of_another(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    start(tmp_path)
    with repository.experiment() as document:
        document["spec"]["owner"] = "another"
    assert affected(repository) == ["/".join(PLACE)]
    commit(tmp_path)
    assert affected(repository, "HEAD~1", "HEAD") == ["/".join(PLACE)]


def test_a_hostile_tree_writes_nothing_outside(
    three: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = three.root
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blob = git(root, "hash-object", "-w", "--stdin", data=b"hostile\n")
    link = git(root, "hash-object", "-w", "--stdin", data=str(tmp_path / "target").encode())
    inner = git(root, "mktree", data=f"100644 blob {blob}\tescaped.j2\n".encode())
    dots = b"40000 ..\0" + bytes.fromhex(inner)
    outer = git(root, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=dots)
    experiments = git(root, "mktree", data=f"120000 blob {link}\t{EXPERIMENT}.yaml\n".encode())
    environment = git(root, "rev-parse", f"HEAD:environments/{ENVIRONMENT}/environment.yaml")
    entries = f"100644 blob {environment}\tenvironment.yaml\n040000 tree {experiments}\texperiments\n"
    place = git(root, "mktree", data=entries.encode())
    environments = git(root, "mktree", data=f"040000 tree {place}\t{ENVIRONMENT}\n".encode())
    top = git(
        root, "mktree", data=f"040000 tree {environments}\tenvironments\n040000 tree {outer}\ttemplates\n".encode()
    )
    made = git(root, "commit-tree", "-m", "hostile", top)
    with revisions.compared(str(root), "HEAD", made) as found:
        assert PLACE in found.affected
        assert [*found.after.files] == [environment_file(ENVIRONMENT)]
        assert Path(found.after.root).parent == tmp_path
        assert not list(tmp_path.rglob("escaped.j2"))
    assert not Path(found.after.root).exists()


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD\n", "", "HEAD:environments", "HEAD^{tree}"])
def test_what_is_no_commit_is_refused(three: Repository, revision: str) -> None:
    with pytest.raises(GitError, match="there is no commit `"), revisions.compared(str(three.root), revision):
        pass


def test_without_a_repository_that_is_said(repository: Repository) -> None:
    with pytest.raises(GitError, match="not a git repository"), revisions.compared(str(repository.root), "HEAD"):
        pass
