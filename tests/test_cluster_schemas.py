"""What a cluster, Grafana and kustomize say of all that is rendered, asked through their own definitions.

PENSTOCK_CRDS names a folder with one folder for each release of a project (`kserve-v0.20.0`), in which the
CustomResourceDefinitions of that release lie as YAML; PENSTOCK_GRAFANA names one with the JSON Schemas of
grafana/grafana-foundation-sdk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cluster
import pytest
from grafana import Grafana
from hypothesis import Phase, given, settings
from repositories import Case, Document, Repository, parsed, recommendation, rendered
from strategies import cases

from generator.documents.overlay import merge
from generator.repository import AREAS

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    "ApplicationSet",
    "GitRepository",
    "GrafanaDashboard",
    "HTTPRoute",
    "InferenceService",
    "Kustomization",
    "PodMonitor",
    "PrometheusRule",
    "Route",
    "ServiceMonitor",
}
CRDS, GRAFANA = (Path(os.environ.get(name) or "absent") for name in ("PENSTOCK_CRDS", "PENSTOCK_GRAFANA"))
FILES = cluster.files(CRDS, KINDS) or [Path("absent", "absent")]
HERE = Path(__file__).parent
ROOTS = [HERE.parent, *(case for case in HERE.glob("cases/*") if not (case / "templates").exists())]
PLACES = [file.parent for root in ROOTS for file in root.glob("environments/*/environment.yaml")]


class Made(NamedTuple):
    """Rendered objects, and the Gateway API that they were rendered for."""

    objects: list[Document]
    gateway_api: tuple[int, ...]


def broad() -> Iterator[Case]:
    """Make experiments that use every field, for each way to route, to scrape and to show."""
    for knative in (False, True):
        case = recommendation()
        environment, spec = case.environment["spec"], case.experiment["spec"]
        spec["model"] |= EVERY_SETTING
        spec["logging"] = {"mode": "request", "url": "http://dumper.a.svc.cluster.local"} | LOGGED
        spec["variants"] |= {"v3": {"storage": {"key": "models", "path": "v3"}, "batcher": {"maxBatchSize": 8}}}
        spec["variants"]["v3"]["patch"] = {"spec": {"predictor": {"priorityClassName": "serving"}}}
        del spec["rollout"], environment["policy"]
        spec["traffic"] = {"v1": 60, "v2": 40, "v3": 0}
        spec["metrics"] |= {"slow": {"role": "guardrail", "use": "kserve/latency", "above": "250ms", "margin": 0.1}}
        spec["metrics"] |= {"time": {"role": "guardrail", "use": "kserve/mean-latency", "limit": 2}}
        if knative:
            environment["kserve"]["deploymentMode"] = "Knative"
            environment["routing"] = {"domain": "example.com"}
            environment["monitoring"] = {"monitor": "PodMonitor", "dashboard": OPERATED}
            spec["model"]["replicas"] = {"min": 0, "max": 5, "metric": "concurrency", "target": 10}
        else:
            environment["routing"] |= {"gatewayApiVersion": "1.5"}
            environment["routing"]["gateway"] |= {"sectionName": "https"}
            spec["shadow"] = {"variant": "v3", "percent": 10}
        yield case


EVERY_SETTING: Document = {
    "formatVersion": "1",
    "runtimeVersion": "v0.20.0",
    "args": ["--workers=2"],
    "env": {
        "A": "",
        "B": {"secretKeyRef": {"name": "a", "key": "b"}},
        "C": {"fieldRef": {"fieldPath": "metadata.name"}},
    },
    "resources": {"requests": {"cpu": "500m", "nvidia.com/gpu": "1"}, "limits": {"cpu": 2, "nvidia.com/gpu": "1"}},
    "replicas": {"min": 1, "max": 3, "metric": "memory", "target": 70},
    "serviceAccountName": "models",
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Equal", "value": "1", "effect": "NoExecute", "tolerationSeconds": 0}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}
            ]
        }
    },
    "timeout": "90s",
    "podLabels": {"team": "recsys"},
    "podAnnotations": {"team": "recsys"},
}
LOGGED: Document = {"metadataHeaders": ["X-Request-Id"], "metadataAnnotations": ["team"]}
OPERATED: Document = {"output": "grafanaDashboard", "instanceSelector": {"dashboards": "grafana"}, "folder": "A/B"}


def generated(number: int) -> list[Case]:
    found: list[Case] = []

    @settings(max_examples=number, phases=[Phase.generate])
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def made(case: Case) -> Made:
    return Made(list(map(parsed, rendered(case).values())), gateway_api(case.environment))


def committed(place: Path) -> Made:
    environment = parsed((place / "environment.yaml").read_text(encoding="utf-8"))
    return Made([*written(place / "manifests"), *written(place / "gitops")], gateway_api(environment))


def gateway_api(environment: Document) -> tuple[int, ...]:
    return tuple(map(int, environment["spec"]["routing"].get("gatewayApiVersion", "1.2").split(".")[:2]))


@pytest.fixture(scope="module")
def everything() -> list[Made]:
    """Return the objects of shipped environments, of golden cases, of broad experiments and of generated ones."""
    assert len(PLACES) > 3
    return [*map(committed, PLACES), *map(made, (*broad(), *generated(40)))]


@pytest.mark.needs("PENSTOCK_CRDS")
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_release_takes_every_object_as_it_is(file: Path, everything: list[Made]) -> None:
    """Also those of other releases than the environment's, but for what is newer than its Gateway API."""
    checked = 0
    for definition in cluster.definitions(file):
        for one in everything:
            if definition.kind == "HTTPRoute" and definition.version < one.gateway_api:
                continue
            for manifest in one.objects:
                if (manifest["apiVersion"], manifest["kind"]) == (definition.api_version, definition.kind):
                    checked += 1
                    assert definition.mistakes(manifest) == []
    assert checked


@pytest.mark.needs("PENSTOCK_CRDS")
def test_the_definitions_find_mistakes() -> None:
    """An unknown field, a wrong type and a default left out; else the test above would prove nothing."""
    (definition,) = cluster.definitions(next(file for file in FILES if file.stem == "inferenceservices"))
    sound = next(one for one in made(recommendation()).objects if one["kind"] == "InferenceService")
    for path, value in (
        ("spec.traffic", {}),
        ("spec.predictor.model.runtim", "x"),
        ("spec.predictor.minReplicas", "1"),
    ):
        wrong = merge(sound, nested(path, value))
        assert [path.rpartition(".")[2] in mistake for mistake in definition.mistakes(wrong)] == [True]
    ports = [{"containerPort": 8080}]
    assert definition.mistakes(merge(sound, nested("spec.predictor.model.ports", ports))) == [
        "$.spec.predictor.model.ports[0].protocol is left to its default"
    ]
    assert definition.mistakes(sound) == []


def nested(path: str, value: Any) -> Any:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.needs("PENSTOCK_GRAFANA")
def test_grafana_takes_every_dashboard(everything: list[Made]) -> None:
    grafana = Grafana(GRAFANA)
    boards = [board for one in everything for manifest in one.objects for board in dashboards(manifest)]
    assert len(boards) > 20
    assert [mistake for board in boards for mistake in grafana.mistakes(board)] == []


def dashboards(manifest: Document) -> list[Any]:
    if manifest["kind"] == "GrafanaDashboard":
        return [json.loads(manifest["spec"]["json"])]
    return [json.loads(text) for text in manifest["data"].values()] if manifest["kind"] == "ConfigMap" else []


@pytest.mark.needs("kubectl or kustomize")
def test_kustomize_reads_every_folder_as_it_was_written(tmp_path: Path) -> None:
    """The parser is Go's, as in clusters, Argo CD and Flux."""
    folders = [place / "manifests" for place in PLACES]
    folders += [folder / area for folder in folders[:2] for area in AREAS]
    folders += [place / "gitops" for place in PLACES if (place / "gitops").is_dir()]
    for number, case in enumerate((*broad(), *generated(8))):
        repository = Repository(tmp_path / str(number))
        repository.put(case)
        repository.problems("render")
        folders.append(repository.root / "environments" / case.names[0] / "manifests")
    for folder in folders:
        assert by_name(kustomized(folder)) == by_name(written(folder))


def kustomized(folder: Path) -> list[Document]:
    program = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    return cluster.documents(subprocess.run([*program, str(folder)], check=True, capture_output=True).stdout)


def written(folder: Path) -> list[Document]:
    files = (file for file in folder.rglob("*.yaml") if file.name != "kustomization.yaml")
    return [parsed(file.read_text(encoding="utf-8")) for file in files]


def by_name(manifests: list[Document]) -> list[Document]:
    return sorted(manifests, key=lambda one: (one["kind"], one["metadata"]["name"]))
