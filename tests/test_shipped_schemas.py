from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import yaml

from generator.manifests.crds import SHIPPED, canonical, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "schemas" / "kubernetes"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
CRDS = os.environ.get("PENSTOCK_CRDS")


def test_the_shipped_files_are_those_that_are_made_and_those_kept_by_hand() -> None:
    by_hand = {f"core/{kind}.json" for kind in ("configmap", "kustomization", "role", "rolebinding", "serviceaccount")}
    assert sorted({*SHIPPED, *by_hand}) == FILES


@pytest.mark.parametrize("file", FILES)
def test_a_shipped_schema_is_canonical_closed_and_without_descriptions(file: str) -> None:
    content = (FOLDER / file).read_bytes()
    schema = json.loads(content)
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.validator_for(schema)
    assert canonical(schema) == content
    assert not [sub for sub in subschemas(schema) if {"description", "title", "default", "format"} & sub.keys()]
    assert not [sub for sub in subschemas(schema) if "properties" in sub and "additionalProperties" not in sub]
    assert {*schema["properties"]} >= {"apiVersion", "kind", "metadata"}
    assert "status" not in schema["properties"]


def subschemas(schema: Any) -> list[dict[str, Any]]:
    if not isinstance(schema, dict):
        return []
    below = [*schema.get("$defs", {}).values(), *schema.get("properties", {}).values()]
    below += [schema.get(key) for key in ("items", "additionalProperties", "propertyNames", "not")]
    below += [sub for key in ("allOf", "anyOf", "oneOf") for sub in schema.get(key, ())]
    return [schema, *(sub for item in below for sub in subschemas(item))]


OBJECTS = """
kserve-*/inferenceservice.json:
  apiVersion: serving.kserve.io/v1beta1
  kind: InferenceService
  metadata: {name: a, labels: {a/b: c}, annotations: {serving.kserve.io/deploymentMode: Standard}}
  spec:
    predictor:
      minReplicas: 1
      model:
        modelFormat: {name: sklearn, version: "1"}
        storageUri: gs://bucket/a
        env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]
        resources: {requests: {cpu: "1", memory: 2Gi}, limits: {nvidia.com/gpu: 1}}
      logger: {mode: all, url: "http://sink"}
gateway-api-*/httproute.json:
  apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: a}
  spec:
    parentRefs: [{name: gateway, namespace: kserve}]
    hostnames: [a.example.com]
    rules:
      - matches: [{path: {type: PathPrefix, value: /}, headers: [{name: x-variant, value: v2}]}]
        backendRefs:
          - name: a
            port: 80
            weight: 20
            filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x, value: v2}]}}]
prometheus-operator-*/servicemonitor.json:
  apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  metadata: {name: a}
  spec:
    selector: {matchLabels: {app: a}}
    endpoints: [{port: http, relabelings: [{targetLabel: variant, replacement: v2}]}]
prometheus-operator-*/podmonitor.json:
  apiVersion: monitoring.coreos.com/v1
  kind: PodMonitor
  metadata: {name: a}
  spec: {selector: {matchLabels: {app: a}}, podMetricsEndpoints: [{portNumber: 8080, path: /metrics}]}
prometheus-operator-*/prometheusrule.json:
  apiVersion: monitoring.coreos.com/v1
  kind: PrometheusRule
  metadata: {name: a}
  spec: {groups: [{name: a, partial_response_strategy: WARN, rules: [{record: a, expr: 1, labels: {c: d}}]}]}
grafana-operator-*/grafanadashboard.json:
  apiVersion: grafana.integreatly.org/v1beta1
  kind: GrafanaDashboard
  metadata: {name: a}
  spec: {instanceSelector: {matchLabels: {dashboards: grafana}}, json: "{}"}
knative-serving/route.json:
  apiVersion: serving.knative.dev/v1
  kind: Route
  metadata: {name: a}
  spec: {traffic: [{configurationName: a, percent: 80, tag: v1}]}
argo-cd-*/applicationset.json:
  apiVersion: argoproj.io/v1alpha1
  kind: ApplicationSet
  metadata: {name: a}
  spec:
    goTemplate: true
    generators: [{git: {repoURL: "https://example.com/a.git", revision: main, directories: [{path: "a/*"}]}}]
    template:
      metadata: {name: "{{ .path.basename }}", finalizers: [resources-finalizer.argocd.argoproj.io]}
      spec:
        project: default
        destination: {server: "https://kubernetes.default.svc", namespace: a}
        sources: [{repoURL: "https://example.com/a.git", targetRevision: main, path: a}]
        syncPolicy: {automated: {prune: true}, retry: {limit: 5, refresh: true, backoff: {factor: 2}}}
flux/gitrepository.json:
  apiVersion: source.toolkit.fluxcd.io/v1
  kind: GitRepository
  metadata: {name: a}
  spec: {url: "https://example.com/a.git", interval: 1m, ref: {branch: main}, secretRef: {name: a}}
flux/kustomization.json:
  apiVersion: kustomize.toolkit.fluxcd.io/v1
  kind: Kustomization
  metadata: {name: a}
  spec:
    sourceRef: {kind: GitRepository, name: a}
    interval: 10m
    prune: true
    dependsOn: [{name: b}]
    healthChecks: [{apiVersion: apps/v1, kind: Deployment, name: a, namespace: b}]
argo-cd-*/appproject.json:
  apiVersion: argoproj.io/v1alpha1
  kind: AppProject
  metadata: {name: a}
  spec:
    sourceRepos: ["https://example.com/a.git"]
    destinations: [{server: "https://kubernetes.default.svc", namespace: a}]
    clusterResourceWhitelist: []
    namespaceResourceWhitelist: [{group: apps, kind: Deployment}]
core/serviceaccount.json:
  {apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: b}, automountServiceAccountToken: false}
core/role.json:
  apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: a}
  rules: [{apiGroups: [apps], resources: [deployments], verbs: [get]}]
core/rolebinding.json:
  apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: a}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
  subjects: [{kind: ServiceAccount, name: a, namespace: b}]
core/configmap.json:
  {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a.json: "{}"}}
core/kustomization.json:
  apiVersion: kustomize.config.k8s.io/v1beta1
  kind: Kustomization
  namespace: a
  resources: [a.yaml]
  labels: [{pairs: {a: b}, includeSelectors: false}]
"""
SAMPLES = [(path, sample) for glob, sample in yaml.safe_load(OBJECTS).items() for path in FOLDER.glob(glob)]
FREE = {"labels", "annotations", "matchLabels", "requests", "limits", "data", "pairs"}


@pytest.mark.parametrize(("path", "sample"), SAMPLES, ids=[path.relative_to(FOLDER).as_posix() for path, _ in SAMPLES])
def test_a_real_object_fits_and_no_field_of_it_may_be_misspelt(path: Path, sample: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(json.loads(path.read_bytes()))
    assert validator.is_valid(sample)
    for change in misspelt(sample):
        assert not validator.is_valid(change), change


def misspelt(value: Any) -> Iterator[Any]:
    """Return copies with one unknown field each, at every place where keys are not free."""
    if isinstance(value, dict):
        yield {**value, "unknown": "x"}
        for key in value.keys() - FREE:
            yield from ({**value, key: change} for change in misspelt(value[key]))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], change, *value[index + 1 :]] for change in misspelt(item))


def test_every_shipped_schema_has_a_sample() -> None:
    assert sorted(path.relative_to(FOLDER).as_posix() for path, _ in SAMPLES) == FILES


def test_the_shipped_schemas_are_small() -> None:
    assert sum((FOLDER / file).stat().st_size for file in FILES) < 300_000


# Fields that a CRD may have by now, and that the release after which the shipped schema is called does not.
UNRELEASED = {
    "argo-cd-v3.5.1/applicationset.json": r".*\.directory\.disableExtensionFilter",
    "grafana-operator-v5.24.0/grafanadashboard.json": r"\.spec\.(publicSharing|variables).*",
}


def fields(schema: Any) -> set[str]:
    """Return the paths of all fields; recursive definitions do not occur in CRDs."""
    return set(_fields(schema, schema, ""))


def _fields(schema: Any, root: Any, path: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for name, below in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(below, root, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        yield from _fields(schema.get(key), root, f"{path}[]")


if CRDS:

    def test_the_shipped_schemas_are_those_of_the_crds() -> None:
        """A CRD from between two releases may know more; what is rendered by the shipped schema is valid for it too."""
        for file, content in generate(Path(str(CRDS))).items():
            shipped = (FOLDER / file).read_bytes()
            unreleased = fields(json.loads(content)) ^ fields(json.loads(shipped))
            assert all(re.fullmatch(UNRELEASED.get(file, "nothing"), field) for field in unreleased), file
            assert unreleased or content == shipped, file
