"""Every name that Penstock gives: objects, labels, annotations, files, hosts, recorded series, alerts.

Mutable facts (weights, owner, stage) are on no object that serves: KServe copies the labels and annotations of an
InferenceService to its pods, so a changed one would restart them.
"""

from __future__ import annotations

API_VERSION = "penstock.dev/v1alpha1"

EXPERIMENT_LABEL = "penstock.dev/experiment"
VARIANT_LABEL = "penstock.dev/variant"
# KServe's agent writes the pod label `endpoint` into the ce-endpoint attribute of logged events
# (pkg/webhook/admission/pod/agent_injector.go); nothing else sets it.
ENDPOINT_LABEL = "endpoint"
# Keeps KServe from publishing every variant on a host of its own, beside the route.
VISIBILITY_LABEL = "networking.kserve.io/visibility"
KNATIVE_VISIBILITY_LABEL = "networking.knative.dev/visibility"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"

# Argo CD applies lower waves first and waits for their health: models in wave 0, which needs no annotation (KServe
# would copy it to pods), routes in wave 1, and what measures in wave 2: a rule that cannot be applied ends the sync,
# and must not keep a rollback from the route. Within one sync it prunes before it applies, in any wave; a dropped
# variant must go after the route let go of it (argo-cd: gitops-engine/pkg/sync/sync_context.go). Constant, for a
# changed annotation of a model restarts its pods.
PRUNE_LAST = ("argocd.argoproj.io/sync-options", "PruneLast=true")

# Recorded series, level:metric:operations (prometheus.io/docs/practices/rules).
WEIGHT = "variant:penstock_weight:configured"
REQUESTS = "variant:penstock_requests:increase30m"
EXPECTED = "variant:penstock_expected:increase30m"
EVENTS = "variant:penstock_events:increase30m"
SHORT = "variant:penstock_metric:value5m"
LONG = "variant:penstock_metric:value30m"
SRM = "experiment:penstock_srm:chi2_30m"

ALERT_LIMIT = "PenstockGuardrailLimit"
ALERT_CONTROL = "PenstockGuardrailControl"
ALERT_SILENT = "PenstockVariantSilent"
ALERT_MISSING = "PenstockMetricMissing"
ALERT_SRM = "PenstockSampleRatioMismatch"

# Trailers of the commits that Penstock makes. The first names an <environment>/<experiment>, and may be repeated: what
# the others say concerns each.
TRAILER_EXPERIMENT = "Penstock-Experiment"
TRAILER_ACTION = "Penstock-Action"
TRAILER_VERDICT = "Penstock-Verdict"
TRAILER_OVERRIDE = "Penstock-Override"
RECORDED = "record"
"""Action of a commit that adds evidence, and changes nothing else of an experiment."""


def isvc(experiment: str, variant: str) -> str:
    """Name of a variant's InferenceService."""
    return f"{experiment}-{variant}"


def route(experiment: str, variant: str = "") -> str:
    """Name of the experiment's route, or of the route of one variant's own host.

    Never the name of an InferenceService or `<isvc>-predictor`: KServe owns the HTTPRoutes of those names and
    would update ours (httproute_reconciler.go). An InferenceService named like the experiment often exists already.
    """
    return f"{experiment}-experiment-{variant}" if variant else f"{experiment}-experiment"


def host(experiment: str, domain: str, variant: str = "") -> str:
    """Return the hostname of an experiment, or of one variant of it.

    One label below the domain, so that one wildcard certificate fits.
    """
    return f"{experiment}-{variant}.{domain}" if variant else f"{experiment}.{domain}"


def kserve_hosts(service: str, namespace: str, domain: str) -> tuple[str, str]:
    """Hosts that KServe computes for an InferenceService from its default domainTemplate."""
    return f"{service}-{namespace}.{domain}", f"{service}-predictor-{namespace}.{domain}"


def delivery(environment: str, experiment: str = "", area: str = "") -> str:
    """Name of what makes Argo CD or Flux apply an environment, or an area of an experiment in it.

    Dots part what has none of its own, so no two are alike. Flux writes it into a label of each object, and KServe
    copies that to pods: at most 63 characters, and a new name would restart every model.
    """
    if not experiment:
        return f"penstock-{environment}"
    name = f"{environment}.{experiment}.{area}"
    if len(name) <= 63:
        return name
    import hashlib  # noqa: PLC0415 (loads OpenSSL)

    return f"{name[:52].rstrip('-.')}.{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def dashboard_uid(namespace: str, experiment: str, cluster: str) -> str:
    """Return an uid of at most 40 characters that is stable and differs between clusters, namespaces and experiments.

    Two dashboards with one uid freeze a Grafana provider for everybody (grafana/grafana#89085).
    """
    import hashlib  # noqa: PLC0415 (loads OpenSSL)

    digest = hashlib.sha256(f"{cluster}/{namespace}/{experiment}".encode()).hexdigest()[:10]
    return f"ab-{experiment[:26].rstrip('-')}-{digest}"


def dashboard_title(namespace: str, experiment: str, environment: str) -> str:
    """Return a title that is unique within a Grafana folder, for the same reason as the uid."""
    return f"A/B {experiment} ({namespace}, {environment})"


def meta_label(label: str) -> str:
    """Name under which Prometheus' Kubernetes discovery offers a pod's label: all but letters, digits and _ becomes _.

    The pod's, also behind a Service: KServe never updates the labels of a Service that exists
    (service_reconciler.go, semanticServiceEquals).
    """
    return "__meta_kubernetes_pod_label_" + "".join(c if c.isalnum() else "_" for c in label)


def manifest_file(kind: str, name: str) -> str:
    """File name of a rendered object."""
    return f"{kind.lower()}-{name}.yaml"
