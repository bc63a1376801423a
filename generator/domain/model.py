"""The domain: an experiment in one environment, complete and consistent in type.

`interpret` builds these from documents; everything after it sees only these. A value that a user left out and
that has no default is an empty string, an empty tuple or None, as the type says.

Named tuples rather than frozen dataclasses: sixteen of these take ten milliseconds to make, which is as long as Python
itself takes to start. And annotations as they are, not put off: a named tuple compiles each text among them.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from generator.kserve import LOADING_OPTIONS, Runtime, given

Pairs = tuple[tuple[str, str], ...]
Role = Literal["success", "guardrail"]
Kind = Literal["ratio", "latencyShare", "mean"]
Direction = Literal["lower", "higher"]
Gate = Literal["manual", "evidence", "time"]
Mode = Literal["manual", "propose", "auto"]
Assignment = Literal["perRequest", "sticky", "header"]


_Arguments = ParamSpec("_Arguments")
_Found = TypeVar("_Found")


class UnsoundError(Exception):
    """Somebody asked for a part of an experiment or environment that a mistake puts in doubt (`partial`)."""


def asked(
    check: Callable[_Arguments, Iterable[_Found]], *arguments: _Arguments.args, **options: _Arguments.kwargs
) -> tuple[_Found, ...]:
    """Return what a check finds; nothing if it asks for what a mistake puts in doubt."""
    try:
        return tuple(check(*arguments, **options))
    except UnsoundError:
        return ()


class Gateway(NamedTuple):
    """The Gateway that routes attach to."""

    name: str
    namespace: str
    section: str


class Routing(NamedTuple):
    """How requests reach variants. `timeout` is in seconds."""

    backend: str
    domain: str
    gateway: Gateway
    gateway_api: tuple[int, int]
    timeout: int
    variant_header: str
    served_by_header: str
    backend_filters: bool
    variant_hosts: bool


class Series(NamedTuple):
    """A counter and the label values that its series must have; a value may hold `*` for any text."""

    metric: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Scope(NamedTuple):
    """How series are told apart by variant.

    kind `variant`: labels namespace, experiment and variant, as Penstock's own monitor sets them;
    `label`: a label of the user's own, named by `label`, holds the variant;
    `istio`: the destination Service names the variant;
    `envoy`: the Envoy cluster of the route's backend names it.
    """

    kind: str
    label: str = "variant"


class Requests(NamedTuple):
    """The counters that together count a variant's requests; `source` names the ready-made source that they are of."""

    series: tuple[Series, ...]
    scope: Scope
    source: str


class DashboardOutput(NamedTuple):
    """How the Grafana dashboard is delivered: `configMap`, `grafanaDashboard` or `none`."""

    output: str
    labels: Pairs
    folder: str
    instance_selector: Pairs
    cross_namespace: bool


class Monitoring(NamedTuple):
    """Prometheus Operator and Grafana. `interval` is in seconds; `requests` counts for experiments that say nothing."""

    labels: Pairs
    requests: Requests | None
    monitor: str
    interval: int
    alert_labels: Pairs
    dashboard: DashboardOutput


class Freeze(NamedTuple):
    """A time in which nothing but a rollback changes.

    A period from `start` until `end`, in seconds since 1970; or, of each of the `weekdays` (0: Monday), the minutes
    from `start` until `end`, counted from midnight in `timezone`.
    """

    weekdays: tuple[int, ...]
    start: int
    end: int
    timezone: str
    reason: str


class Authors(NamedTuple):
    """Patterns of e-mail addresses of those who may change what; None allows any."""

    traffic: tuple[str, ...] | None
    models: tuple[str, ...] | None
    metrics: tuple[str, ...] | None


class Policy(NamedTuple):
    """What experiments may do. URI prefixes and hostnames that they may name, and owners: None allows any."""

    storage: tuple[str, ...] | None
    loggers: tuple[str, ...] | None
    hostnames: tuple[str, ...] | None
    owners: tuple[str, ...] | None
    largest_step: int | None
    freeze: tuple[Freeze, ...]
    authors: Authors
    overrides: bool


class Secret(NamedTuple):
    """Where a secret is read from when it is needed: an environment variable, or a file. One of them is empty."""

    env: str
    file: str


class Prometheus(NamedTuple):
    """A server with Prometheus' HTTP API, and how to reach it. `timeout` is in seconds, of one request."""

    url: str
    headers: tuple[tuple[str, str | Secret], ...]
    bearer_token: Secret | None
    basic_auth: tuple[str, Secret] | None
    ca_file: str
    cert_file: str
    key_file: str
    insecure: bool
    timeout: int


# Seconds until Git is asked anew: ours for Flux, and Argo CD's own, jitter included (argo-cd:
# docs/operator-manual/argocd-cm.yaml, timeout.reconciliation); a webhook may tell it earlier.
ASKED = {"argocd": 180, "flux": 60}


class GitOps(NamedTuple):
    """What applies the manifests: `argocd` or `flux`, and where from. Git is asked every `interval` seconds.

    Without `project` or `service_account` it gets one of its own.
    """

    tool: str
    repository: str
    branch: str
    path: str
    namespace: str
    project: str
    server: str
    secret: str
    service_account: str
    interval: int


class Environment(NamedTuple):
    """A place that experiments run in."""

    name: str
    namespace: str
    cluster: str
    kserve: tuple[int, int]
    mode: str
    routing: Routing
    monitoring: Monitoring
    policy: Policy
    prometheus: Prometheus | None
    gitops: GitOps | None
    runtimes: dict[str, Runtime]

    @property
    def arrival(self) -> int:
        """Seconds until requests follow a commit: until Git is asked, and two minutes to apply it and to route anew.

        Without a tool declared, it may be any: as long as Argo CD takes.
        """
        return (self.gitops.interval if self.gitops else ASKED["argocd"]) + 120


class Metric(NamedTuple):
    """A success metric or guardrail: numerator over denominator, both counts (or sums) per variant.

    ratio: `events`, or `total - good` when `inverted`, over `total`; latencyShare: requests of `histogram` above
    `bound` (in the histogram's own unit) over all of them; mean: sum over count of `histogram`.
    `margin`, `limit`, `mde`, `floor` and `baseline` are fractions (a mean's limit is in its own unit).
    `source` names the ready-made source that the metric is of.
    """

    name: str
    source: str
    role: Role
    kind: Kind
    direction: Direction
    scope: Scope
    events: tuple[Series, ...]
    total: tuple[Series, ...]
    inverted: bool
    histogram: Series | None
    quantiles: bool
    bound: float | None
    unit: str
    mde: float | None
    margin: float | None
    limit: float | None
    floor: float | None
    baseline: float | None
    minimum_requests: int


class Logger(NamedTuple):
    """KServe's payload logger."""

    mode: str
    url: str
    headers: tuple[str, ...]
    annotations: tuple[str, ...]
    storage: dict[str, Any]


class Batcher(NamedTuple):
    """KServe's request batcher; None where KServe's own default stands."""

    max_batch_size: int | None
    max_latency: int | None
    timeout: int | None


class Replicas(NamedTuple):
    """Bounds and target of the autoscaler of one variant."""

    minimum: int
    maximum: int | None
    target: int | None
    metric: str


class Variant(NamedTuple):
    """One model server among those compared. `env` values are texts or Kubernetes `valueFrom` mappings."""

    name: str
    format: str
    format_version: str
    runtime: Runtime
    runtime_version: str
    protocol: str
    storage_uri: str
    storage: dict[str, Any]
    args: tuple[str, ...]
    env: tuple[tuple[str, str | dict[str, Any]], ...]
    requests: Pairs
    limits: Pairs
    replicas: Replicas
    service_account: str
    node_selector: Pairs
    tolerations: tuple[dict[str, Any], ...]
    affinity: dict[str, Any]
    timeout: int | None
    batcher: Batcher | None
    logger: Logger | None
    pod_labels: Pairs
    pod_annotations: Pairs
    patch: dict[str, Any]
    traffic: int

    @property
    def model(self) -> tuple[object, ...]:
        """What tells its model from another one: where it lies, and what reads it."""
        return (
            self.storage_uri,
            self.storage,
            self.format,
            [value for *_, value in given(self.args, *LOADING_OPTIONS)],
        )


class Shadow(NamedTuple):
    """A variant that gets copies of `percent` of the requests."""

    variant: str
    percent: int


class Step(NamedTuple):
    """A stage of a rollout: percent by variant, control first; percent of requests copied to the candidate.

    `soak`, how long the stage lasts at least, is in seconds; `gate` is what opens the way out of it.
    """

    traffic: tuple[tuple[str, int], ...]
    shadow: int
    soak: int
    gate: Gate


class Rollout(NamedTuple):
    """How traffic may grow. `bake`, the soak of the last step, and `max_duration` are in seconds."""

    mode: Mode
    preset: str
    steps: tuple[Step, ...]
    bake: int
    max_duration: int | None


class Analysis(NamedTuple):
    """How the verdict counts. `window`, `settle` and `minimum_duration` are in seconds."""

    assignment: Assignment
    design_effect: float | None
    bucket_label: str
    window: int
    settle: int
    minimum_duration: int


class Experiment(NamedTuple):
    """One A/B test. `variants` are in order of declaration with control first; their traffic sums to 100."""

    name: str
    source: str
    owner: str
    hypothesis: str
    expires: str
    model_name: str
    hostname: str
    variants: tuple[Variant, ...]
    shadow: Shadow | None
    requests: Requests
    metrics: tuple[Metric, ...]
    analysis: Analysis
    rps: float | None
    rollout: Rollout | None

    @property
    def control(self) -> Variant:
        """The variant that the others are compared with."""
        return self.variants[0]

    @property
    def candidates(self) -> tuple[Variant, ...]:
        """All variants but control."""
        return self.variants[1:]

    @property
    def serving(self) -> tuple[Variant, ...]:
        """Variants that get traffic. Weight 0 is left out of routes: it leaks on some gateways."""
        return tuple(v for v in self.variants if v.traffic)
