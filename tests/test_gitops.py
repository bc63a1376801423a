"""What makes Argo CD or Flux apply an environment: its order, its gates, and that it comes and goes with its cause."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from gitrepos import commit, start
from repositories import ENVIRONMENT, EXPERIMENT

from generator import names
from generator.domain import interpret
from generator.manifests import catalog, plan, verify
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.repository import take
from generator.runs import run
from generator.versions import revisions

if TYPE_CHECKING:
    from repositories import Document, Repository

CASES = Path(__file__).parent / "cases"
PLACE = "environments/production/gitops"
MINE = f"{PLACE}/recommendation-model"
OURS = "production.recommendation-model"


def declare(repository: Repository, tool: str, **settings: Any) -> None:
    with repository.environment() as document:
        document["spec"]["gitops"] = {"tool": tool, "repository": "https://example.com/models.git", **settings}


def render(repository: Repository, *arguments: str) -> None:
    done = repository.invoke("render", *arguments)
    assert done.exit_code == 0, done.output


def delivery(repository: Repository) -> set[str]:
    return {path for path in repository.files() if path.startswith(PLACE)}


def listed(repository: Repository) -> list[str]:
    found: list[str] = repository.read(f"{PLACE}/kustomization.yaml")["resources"]
    return [one for one in found if not one.endswith(".yaml")]


def kustomization(repository: Repository, area: str) -> Document:
    spec: Document = repository.read(f"{MINE}/kustomization-{OURS}.{area}.yaml")["spec"]
    return spec


def test_traffic_waits_for_models_of_the_same_revision_and_for_nothing_else(repository: Repository) -> None:
    """The environment's own Kustomization is waited for, too: it brings the list of what has to be healthy."""
    declare(repository, "flux")
    render(repository)
    waits = {area: kustomization(repository, area).get("dependsOn") for area in ("models", "traffic", "monitoring")}
    before = [{"name": "penstock-production"}, {"name": f"{OURS}.models"}]
    assert waits == {"models": None, "traffic": before, "monitoring": None}
    own = repository.read(f"{PLACE}/kustomization-penstock-production.yaml")["spec"]
    assert not {"wait", "healthChecks", "dependsOn"} & own.keys()  # else it would wait for what waits for it


@pytest.mark.parametrize(("mode", "kind"), [("Standard", "Deployment"), ("Knative", "Service")])
@pytest.mark.parametrize("traffic", [{"v1": 80, "v2": 20}, {"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}])
def test_only_what_gets_traffic_has_to_be_healthy(
    repository: Repository, mode: str, kind: str, traffic: dict[str, int]
) -> None:
    declare(repository, "flux")
    with repository.environment() as document:
        document["spec"]["kserve"]["deploymentMode"] = mode
        if mode == "Knative":
            document["spec"]["routing"] = {"domain": "example.com"}
            document["spec"]["monitoring"]["monitor"] = "PodMonitor"
    with repository.experiment() as document:
        document["spec"]["traffic"] = traffic
        del document["spec"]["rollout"]
        if mode == "Knative":
            document["spec"] |= {"requests": {"use": "knative"}}
            document["spec"]["metrics"]["errors"]["use"] = "knative/errors"
    render(repository)
    checked = [(one["kind"], one["name"]) for one in kustomization(repository, "models")["healthChecks"]]
    assert checked == [(kind, f"recommendation-model-{name}-predictor") for name, share in traffic.items() if share]


@pytest.mark.parametrize("own", ["", "ml-team"])
def test_who_may_write_manifests_may_deliver_nothing_else(repository: Repository, own: str) -> None:
    """All kinds of all golden cases are allowed, what lifts rights is not, and a name of the user's own is kept."""
    rendered = {
        (one["apiVersion"].rpartition("/")[0], one["kind"])
        for path in CASES.glob("*/environments/*/manifests/*/*/*.yaml")
        if path.name != "kustomization.yaml" and (one := yaml.safe_load(path.read_text()))
    }
    assert len(rendered) == 8

    declare(repository, "argocd", **({"project": own} if own else {}))
    render(repository)
    application = repository.read(f"{PLACE}/applicationset-penstock-production.yaml")["spec"]["template"]["spec"]
    assert application["project"] == (own or "penstock-production")
    if not own:
        project = repository.read(f"{PLACE}/appproject-penstock-production.yaml")["spec"]
        allowed = {(one["group"], one["kind"]) for one in project["namespaceResourceWhitelist"]}
        assert rendered < allowed
        assert not {"Secret", "ServiceAccount", "Role", "RoleBinding", "Job"} & {kind for _, kind in allowed}
        assert project["clusterResourceWhitelist"] == []
        assert project["destinations"] == [application["destination"]]
        assert project["sourceRepos"] == [source["repoURL"] for source in application["sources"][:1]]

    declare(repository, "flux", **({"serviceAccount": own} if own else {}))
    render(repository)
    assert kustomization(repository, "models")["serviceAccountName"] == (own or "penstock-production")
    if not own:
        role = repository.read(f"{PLACE}/role-penstock-production.yaml")
        binding = repository.read(f"{PLACE}/rolebinding-penstock-production.yaml")
        account = repository.read(f"{PLACE}/serviceaccount-penstock-production.yaml")["metadata"]
        written = {(one["apiGroups"][0], one["resources"][0]) for one in role["rules"] if "patch" in one["verbs"]}
        assert written == {(group, f"{kind.lower()}s") for group, kind in rendered}
        assert (
            role["metadata"]["namespace"] == binding["metadata"]["namespace"] == application["destination"]["namespace"]
        )
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        assert (
            account["namespace"] == repository.read(f"{MINE}/kustomization-{OURS}.models.yaml")["metadata"]["namespace"]
        )


@pytest.mark.parametrize("prefix", ["", "ml"])
@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_every_folder_that_is_applied_lists_its_files(repository: Repository, tool: str, prefix: str) -> None:
    declare(repository, tool, **({"path": prefix} if prefix else {}))
    render(repository)
    applied = set(paths([repository.read(path) for path in delivery(repository)]))
    assert len(applied) == (4 if tool == "flux" else 3)
    for path in applied:
        folder = path.replace("{{ .path.basename }}", "recommendation-model").removeprefix("./")
        assert (repository.root / folder.removeprefix(f"{prefix}/") / "kustomization.yaml").is_file(), path


def paths(objects: list[Document]) -> list[str]:
    found = [one["spec"]["path"] for one in objects if "fluxcd" in one["apiVersion"] and "path" in one["spec"]]
    sets = [one["spec"]["template"]["spec"]["sources"] for one in objects if one["kind"] == "ApplicationSet"]
    return found + [source["path"] for sources in sets for source in sources]


def test_its_files_come_and_go_with_what_they_are_made_from(repository: Repository) -> None:
    render(repository)
    assert not delivery(repository)
    declare(repository, "flux")
    render(repository)
    flux = delivery(repository)
    assert f"{MINE}/kustomization.yaml" in flux
    declare(repository, "argocd")
    render(repository)
    assert delivery(repository) == {
        f"{PLACE}/applicationset-penstock-production.yaml",
        f"{PLACE}/appproject-penstock-production.yaml",
        f"{PLACE}/kustomization.yaml",
    }
    declare(repository, "flux")
    render(repository)
    assert delivery(repository) == flux
    (repository.root / "environments/production/experiments/recommendation-model.yaml").unlink()
    render(repository)
    assert delivery(repository) == {path for path in flux if not path.startswith(MINE)}
    assert "recommendation-model" not in repository.read(f"{PLACE}/kustomization.yaml")["resources"]
    with repository.environment() as document:
        del document["spec"]["gitops"]
    render(repository)
    assert not delivery(repository)


def test_an_experiment_rendered_alone_is_listed_alone(repository: Repository) -> None:
    render(repository)
    repository.write(
        "environments/production/experiments/second.yaml",
        repository.read("environments/production/experiments/recommendation-model.yaml")
        | {"metadata": {"name": "second"}},
    )
    declare(repository, "flux")
    render(repository, "second")
    assert listed(repository) == ["second"]
    render(repository)
    assert listed(repository) == ["recommendation-model", "second"]
    assert "0 create, 0 update, 0 delete" in repository.invoke("render").output


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_a_stale_or_lost_file_is_noticed(repository: Repository, tool: str) -> None:
    declare(repository, tool)
    render(repository)
    for path in sorted(delivery(repository)):
        file = repository.root / path
        before = file.read_bytes()
        file.unlink()
        assert repository.invoke("render", "--check").exit_code == 1, path
        file.write_bytes(before + b"# edited\n")
        assert repository.problems("render", "--check")[0]["code"] == "PS601"
        file.write_bytes(before)
        assert repository.invoke("render", "--check").exit_code == 0


def test_what_is_restored_is_known_to_be_right(repository: Repository) -> None:
    declare(repository, "flux")
    repository.invoke("render")
    (repository.root / PLACE / "kustomization.yaml").unlink()
    assert "1 create" in repository.invoke("render").stdout
    here = take(str(repository.root))
    work = run.prepare(here, here.environments, run.Options(run.today()))
    assert (work.stale, work.listings) == ([], [])


def test_a_folder_of_the_users_own_is_left_alone(repository: Repository) -> None:
    repository.invoke("render")
    before = repository.invoke("render").stdout
    own = repository.root / PLACE / "recommendation-model/application.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("kind: Application\n")
    assert repository.problems("render") == []
    assert own.read_text() == "kind: Application\n"
    assert repository.invoke("render").stdout == before, "it is not counted either"


@pytest.mark.needs("git")
def test_what_flux_is_told_of_an_experiment_is_compared_with_it(repository: Repository) -> None:
    declare(repository, "flux")
    render(repository)
    start(repository.root)
    file = repository.root / MINE / f"kustomization-{OURS}.traffic.yaml"
    file.write_text(file.read_text() + "# edited\n")
    commit(repository.root)
    with revisions.compared(str(repository.root), "HEAD~1", "HEAD") as found:
        assert found.affected == (("production", "recommendation-model"),)
        for state, edited in ((found.before, False), (found.after, True)):
            text = found.manifests(state, "production", "recommendation-model")[f"{MINE}/{file.name}"]
            assert text.endswith(b"# edited\n") is edited


@pytest.mark.needs("git")
def test_a_review_names_what_flux_is_told_anew_and_calls_nothing_stale(repository: Repository) -> None:
    declare(repository, "flux")
    render(repository)
    start(repository.root)
    with repository.experiment() as document:
        document["spec"]["traffic"] = {"v1": 100, "v2": 0}
    render(repository)
    commit(repository.root)
    done = repository.invoke("review", "--base", "HEAD~1", "--head", "HEAD")
    assert done.exit_code == 0, done.output
    told = [line.split()[-1] for line in done.output.splitlines() if "gitops/" in line]
    assert told == [f"gitops/recommendation-model/kustomization-{OURS}.models.yaml"]


def test_names_are_labels_and_no_two_are_alike() -> None:
    """Flux makes them values of a label, and KServe copies labels to pods."""
    words = ("a", "a-b", "b", "b-c", "c", "x" * 40, "y" * 39 + "z", f"{'y' * 38}-z")
    made = [names.delivery(*parts) for parts in itertools.product(words, words, ("models", "traffic", "monitoring"))]
    assert len(set(made)) == len(made)
    assert all(len(one) <= 63 for one in made)


@pytest.mark.parametrize(
    ("tool", "settings", "analysis", "settle"),
    [
        ("", {}, {}, 300),
        ("argocd", {}, {}, 300),
        ("flux", {}, {}, 180),
        ("flux", {"interval": "10m"}, {}, 720),
        ("flux", {}, {"settle": "45s"}, 45),
    ],
)
def test_nothing_is_counted_until_a_commit_has_arrived(
    repository: Repository, tool: str, settings: dict[str, str], analysis: dict[str, str], settle: int
) -> None:
    if tool:
        declare(repository, tool, **settings)
    with repository.experiment() as document:
        document["spec"]["analysis"] = analysis
    place = interpret.environment(str(repository.root), ENVIRONMENT)
    read = interpret.experiment(str(repository.root), place.environment, place.document, EXPERIMENT, in_base=False)
    assert read.experiment.analysis.settle == settle


def test_a_listing_may_be_longer_than_what_is_applied(repository: Repository) -> None:
    """kustomize reads it, and no cluster ever does."""
    place = interpret.environment(str(repository.root), ENVIRONMENT)
    experiments = tuple(f"{'x' * 34}-{number:05}" for number in range(7000))
    rendered = Templates().render(plan.listings(ENVIRONMENT, experiments))
    manifests, found = verify.verified(rendered, catalog.of(place.environment, ""), Reader())
    assert max(len(one.text) for one in manifests) > verify.MOST_CHARACTERS
    assert found == []
