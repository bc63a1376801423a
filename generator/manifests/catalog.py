"""Which schemas an environment's objects are checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import resources
from generator.manifests.crds import Catalog, read_folder

if TYPE_CHECKING:
    from generator.domain.model import Environment


def of(environment: Environment, crds: str) -> Catalog:
    """Return the catalogue of an environment's versions; schemas in the folder `crds` go before the shipped ones."""
    folder = f"{resources.directory('schemas')}/kubernetes"
    extra = None
    if crds:
        from pathlib import Path  # noqa: PLC0415 (start-up time: few have CRDs of their own)

        extra = read_folder(Path(crds))
    return Catalog(folder, releases(environment), extra)


def releases(environment: Environment) -> dict[tuple[str, str], str]:
    """Map each kind to a shipped schema: of the environment's release, or of the newest one that is not newer."""
    kserve = next(name for since, name in _KSERVE if environment.kserve >= since)
    gateway = next(name for since, name in _GATEWAY_API if environment.routing.gateway_api >= since)
    operator, grafana = "prometheus-operator-v0.93.0", "grafana-operator-v5.24.0"
    return {
        ("serving.kserve.io/v1beta1", "InferenceService"): f"{kserve}/inferenceservice.json",
        ("gateway.networking.k8s.io/v1", "HTTPRoute"): f"{gateway}/httproute.json",
        ("serving.knative.dev/v1", "Route"): "knative-serving/route.json",
        ("monitoring.coreos.com/v1", "ServiceMonitor"): f"{operator}/servicemonitor.json",
        ("monitoring.coreos.com/v1", "PodMonitor"): f"{operator}/podmonitor.json",
        ("monitoring.coreos.com/v1", "PrometheusRule"): f"{operator}/prometheusrule.json",
        ("grafana.integreatly.org/v1beta1", "GrafanaDashboard"): f"{grafana}/grafanadashboard.json",
        ("argoproj.io/v1alpha1", "AppProject"): "argo-cd-v3.5.1/appproject.json",
        ("argoproj.io/v1alpha1", "ApplicationSet"): "argo-cd-v3.5.1/applicationset.json",
        ("source.toolkit.fluxcd.io/v1", "GitRepository"): "flux/gitrepository.json",
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): "flux/kustomization.json",
        ("rbac.authorization.k8s.io/v1", "Role"): "core/role.json",
        ("rbac.authorization.k8s.io/v1", "RoleBinding"): "core/rolebinding.json",
        ("v1", "ConfigMap"): "core/configmap.json",
        ("v1", "ServiceAccount"): "core/serviceaccount.json",
        ("kustomize.config.k8s.io/v1beta1", "Kustomization"): "core/kustomization.json",
    }


_KSERVE = (
    ((0, 20), "kserve-v0.20.0"),  # the development line for 0.21 has the same fields
    ((0, 19), "kserve-v0.19.0"),
    ((0, 0), "kserve-v0.16.0"),
)
_GATEWAY_API = (((1, 5), "gateway-api-v1.5.1"), ((0, 0), "gateway-api-v1.2.1"))
