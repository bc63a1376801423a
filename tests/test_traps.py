"""The traps of KServe that Penstock makes impossible: each is looked for in everything that the golden cases render."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parent / "cases"
KINDS = {
    "InferenceService", "HTTPRoute", "Route", "ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap",
    "GrafanaDashboard", "Kustomization",
}  # fmt: skip


@cache
def rendered() -> tuple[dict[str, Any], ...]:
    files = sorted(CASES.glob("*/environments/*/manifests/**/*.yaml"))
    return tuple(yaml.safe_load(file.read_text()) for file in files)


def of(kind: str) -> list[dict[str, Any]]:
    found = [one for one in rendered() if one["kind"] == kind]
    assert found, kind
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for route in of("HTTPRoute") for rule in route["spec"]["rules"]]


def everything(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, list):
        return [pair for child in node for pair in everything(child)]
    if not isinstance(node, dict):
        return []
    return [*node.items(), *(pair for child in node.values() for pair in everything(child))]


def test_1_2_3_no_field_that_does_not_split() -> None:
    keys = {key for service in of("InferenceService") for key, _ in everything(service["spec"])}
    assert not keys & {"traffic", "canary", "canaryTrafficPercent"}
    assert all("revisionTag" not in str(service) for service in of("InferenceService"))


def test_4_all_variants_answer_to_one_name() -> None:
    for case in CASES.iterdir():
        services = [yaml.safe_load(f.read_text()) for f in sorted(case.glob("**/inferenceservice-*.yaml"))]
        names = {
            argument.split("=")[1]
            for service in services
            for argument in service["spec"]["predictor"]["model"].get("args", ())
            if argument.startswith(("--model_name=", "--served-model-name="))
        }
        assert len(names) <= 1, case


def test_5_22_routes_rewrite_nothing_and_use_no_experimental_field() -> None:
    types = {value for key, value in everything(of("HTTPRoute")) if key == "type"}
    assert types <= {"Exact", "PathPrefix", "ResponseHeaderModifier", "RequestMirror"}
    assert not {key for key, _ in everything(of("HTTPRoute"))} & {"sessionPersistence", "retry"}


def test_6_only_the_models_paths_are_published() -> None:
    paths = {(m["path"]["type"], m["path"]["value"]) for rule in rules() for m in rule["matches"]}
    assert all(value.endswith(":predict") for kind, value in paths if value.startswith("/v1/models"))
    for kind, value in paths:
        assert kind == "Exact" or (value.startswith("/v2/models/") and value.count("/") == 3)


def test_7_monitors_scrape_declared_ports_of_the_model_itself() -> None:
    declared = {p["containerPort"] for s in of("InferenceService") for p in s["spec"]["predictor"]["model"]["ports"]}
    for monitor in (*of("ServiceMonitor"), *of("PodMonitor")):
        spec = monitor["spec"]
        for endpoint in spec.get("endpoints", []) + spec.get("podMetricsEndpoints", []):
            port = endpoint.get("targetPort") or endpoint.get("portNumber") or endpoint.get("port")
            assert port in declared | {"user-port", "http-usermetric"}
            assert port != 9081
            assert [r["action"] for r in endpoint["relabelings"]][-2:] == ["replace", "replace"]


def test_8_nothing_else_is_rendered_that_kserve_could_take_for_its_own() -> None:
    assert {one["kind"] for one in rendered()} <= KINDS
    labels = [key for one in rendered() for key in one.get("metadata", {}).get("labels", {})]
    assert not [label for label in labels if label.startswith("serving.kserve.io/")]


def test_9_nothing_that_changes_with_traffic_is_on_a_model() -> None:
    for service in of("InferenceService"):
        annotations = set(service["metadata"]["annotations"])
        assert annotations <= {
            "argocd.argoproj.io/sync-options", "modelFormat", "serving.kserve.io/autoscalerClass",
            "serving.kserve.io/deploymentMode", "team",
        }  # fmt: skip


def test_13_every_rule_has_a_timeout() -> None:
    duration = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")  # GEP-2257
    assert all(duration.fullmatch(rule["timeouts"]["request"]) for rule in rules())


def test_14_order_of_arrival_and_departure() -> None:
    waves = {
        one["kind"]: one["metadata"]["annotations"].get("argocd.argoproj.io/sync-wave", "0")
        for one in rendered()
        if one["kind"] != "Kustomization"
    }
    assert waves["InferenceService"] < waves["HTTPRoute"] < waves["ServiceMonitor"]
    for service in of("InferenceService"):
        assert service["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "PruneLast=true"


def test_15_weight_zero_is_left_out() -> None:
    assert all(backend["weight"] > 0 for rule in rules() for backend in rule["backendRefs"])


def test_16_25_runtime_and_protocol_are_always_named() -> None:
    for service in of("InferenceService"):
        model = service["spec"]["predictor"]["model"]
        assert model["runtime"]
        assert model["protocolVersion"] in {"v1", "v2"}
        assert isinstance(model["modelFormat"].get("version", ""), str)


def test_17_variants_have_no_door_of_their_own() -> None:
    for service in of("InferenceService"):
        labels = service["metadata"]["labels"]
        doors = {"networking.kserve.io/visibility", "networking.knative.dev/visibility"} & labels.keys()
        assert [labels[door] for door in doors] == ["cluster-local"]


def test_19_standard_mode_never_asks_for_zero_replicas() -> None:
    for service in of("InferenceService"):
        standard = service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
        assert not standard or service["spec"]["predictor"]["minReplicas"] >= 1


def test_23_envoy_gateway_makes_a_cluster_for_each_variant() -> None:
    case = CASES / "metrics-of-envoy-gateway"
    route = yaml.safe_load(next(case.glob("**/httproute-ranker-experiment.yaml")).read_text())
    assert all("filters" in backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"])


def test_24_no_annotation_that_points_prometheus_at_a_dead_port() -> None:
    assert all("enable-prometheus-scraping" not in str(one) for one in of("InferenceService"))
