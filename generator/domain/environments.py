"""Environment documents become `model.Environment`, with the checks that concern an environment alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator import kserve
from generator.documents import validate
from generator.domain import metrics
from generator.domain.model import (
    ASKED,
    Authors,
    DashboardOutput,
    Environment,
    Gateway,
    GitOps,
    Monitoring,
    Pairs,
    Policy,
    Prometheus,
    Routing,
    Secret,
    asked,
)
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.problems import Problem

# Four scrapes within `queries.SHORT_WINDOW`, as many as Grafana's $__rate_interval holds.
_LONGEST_INTERVAL = 75
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str | None, default: int) -> int:
    """Read a duration such as `90s`, `5m`, `1h` or `3d`; `default` where there is none."""
    return int(duration[:-1]) * _SECONDS[duration[-1]] if duration else default


def pairs(mapping: dict[str, Any] | None) -> Pairs:
    """Return a mapping's items sorted by key, so that the order of lines in a file changes nothing."""
    return tuple(sorted((mapping or {}).items()))


def read(document: Document, folder: str) -> tuple[Environment, tuple[Problem, ...]]:
    """Build the environment of a document that its schema accepts; `folder` is the name that it must have."""
    environment = build(document)
    return environment, problems(document, environment, folder)


def build(document: Document) -> Environment:
    """Build the environment of a document that its schema accepts, whatever else is wrong with it."""
    spec, name = document.spec, document.name
    mode = spec["kserve"].get("deploymentMode", kserve.STANDARD)
    installed = kserve.version(spec["kserve"]["version"])
    return Environment(
        name=name,
        namespace=spec["namespace"],
        cluster=spec.get("cluster", name),
        kserve=installed,
        mode=mode,
        routing=_routing(spec["routing"], mode),
        monitoring=_monitoring(spec.get("monitoring", {})),
        policy=_policy(spec.get("policy", {})),
        prometheus=_prometheus(spec["prometheus"]) if "prometheus" in spec else None,
        gitops=_gitops(spec["gitops"]) if "gitops" in spec else None,
        runtimes=kserve.runtimes(installed) | _runtimes(spec.get("runtimes", {})),
    )


def _routing(spec: dict[str, Any], mode: str) -> Routing:
    gateway = spec.get("gateway", {})
    return Routing(
        backend=spec.get("backend", next(name for name, backend in BACKENDS.items() if mode == backend.MODE)),
        domain=spec["domain"],
        gateway=Gateway(gateway.get("name", ""), gateway.get("namespace", ""), gateway.get("sectionName", "")),
        gateway_api=kserve.version(spec.get("gatewayApiVersion", "1.2")),
        timeout=seconds(spec.get("timeout"), 60),
        variant_header=spec.get("variantHeader", "x-variant"),
        served_by_header=spec.get("servedByHeader", "x-served-variant"),
        backend_filters=spec.get("backendFilters", True),
        variant_hosts=spec.get("variantHosts", True),
    )


def _monitoring(spec: dict[str, Any]) -> Monitoring:
    dashboard = spec.get("dashboard", {})
    return Monitoring(
        labels=pairs(spec.get("labels")),
        requests=metrics.counter(spec["requests"]) if "requests" in spec else None,
        monitor=spec.get("monitor", "ServiceMonitor"),
        interval=seconds(spec.get("interval"), 30),
        alert_labels=pairs(spec.get("alertLabels")),
        dashboard=DashboardOutput(
            output=dashboard.get("output", "configMap"),
            labels=pairs(dashboard.get("labels", {"grafana_dashboard": "1"})),
            folder=dashboard.get("folder", ""),
            instance_selector=pairs(dashboard.get("instanceSelector")),
            cross_namespace=dashboard.get("allowCrossNamespaceImport", False),
        ),
    )


def _policy(spec: dict[str, Any]) -> Policy:
    authors = spec.get("authors", {})
    if "freeze" in spec:
        from generator.domain import freezes  # noqa: PLC0415 (start-up time: time zones are needed by few)

        frozen = tuple(freezes.read(one) for one in spec["freeze"] if not any(freezes.mistakes(one)))
    else:
        frozen = ()
    return Policy(
        storage=_texts(spec, "storage"),
        loggers=_texts(spec, "loggers"),
        hostnames=_texts(spec, "hostnames"),
        owners=_texts(spec, "owners"),
        largest_step=spec.get("largestStep"),
        freeze=frozen,
        authors=Authors(_texts(authors, "traffic"), _texts(authors, "models"), _texts(authors, "metrics")),
        overrides=spec.get("overrides", False),
    )


def _texts(spec: dict[str, Any], key: str) -> tuple[str, ...] | None:
    return tuple(spec[key]) if key in spec else None


def _prometheus(spec: dict[str, Any]) -> Prometheus:
    tls, basic = spec.get("tls", {}), spec.get("basicAuth")
    return Prometheus(
        url=spec["url"].rstrip("/"),
        headers=tuple((name, _secret(value)) for name, value in pairs(spec.get("headers"))),
        bearer_token=_from(spec["bearerToken"]) if "bearerToken" in spec else None,
        basic_auth=(basic["username"], _from(basic["password"])) if basic else None,
        ca_file=tls.get("caFile", ""),
        cert_file=tls.get("certFile", ""),
        key_file=tls.get("keyFile", ""),
        insecure=tls.get("insecureSkipVerify", False),
        timeout=seconds(spec.get("timeout"), 30),
    )


def _secret(value: Any) -> str | Secret:
    return value if isinstance(value, str) else _from(value)


def _from(spec: dict[str, str]) -> Secret:
    return Secret(spec.get("env", ""), spec.get("file", ""))


def _gitops(spec: dict[str, Any]) -> GitOps:
    return GitOps(
        tool=spec["tool"],
        repository=spec["repository"],
        branch=spec.get("branch", "main"),
        path=spec.get("path", "").strip("/"),
        namespace=spec.get("namespace", {"argocd": "argocd", "flux": "flux-system"}[spec["tool"]]),
        project=spec.get("project", ""),
        server=spec.get("server", "https://kubernetes.default.svc"),
        secret=spec.get("secret", ""),
        service_account=spec.get("serviceAccount", ""),
        interval=seconds(spec.get("interval"), ASKED[spec["tool"]]),
    )


def _runtimes(spec: dict[str, Any]) -> dict[str, kserve.Runtime]:
    """Build the platform's own runtimes from the bundled ones that they behave like; unknown ones are left out."""
    return {
        name: _own_runtime(name, kserve.RUNTIMES[own["like"]], own)
        for name, own in spec.items()
        if own["like"] in kserve.RUNTIMES
    }


def _own_runtime(name: str, like: kserve.Runtime, own: dict[str, Any]) -> kserve.Runtime:
    named = {"modelNameArgument", "modelNameEnv", "modelNameFromArtifact"} & own.keys()
    runtime = like._replace(
        name=name,
        port=own.get("port", like.port),
        metrics_port=own.get("metricsPort", like.metrics_port),
        metrics_path=own.get("metricsPath", "/metrics" if "metricsPort" in own else like.metrics_path),
        since=(0, 16),
    )
    if not named:
        return runtime
    return runtime._replace(
        name_argument=own.get("modelNameArgument", ""),
        name_env=own.get("modelNameEnv", ""),
        name_from_artifact=own.get("modelNameFromArtifact", False),
    )


def problems(document: Document, environment: Environment, folder: str) -> tuple[Problem, ...]:
    """Return what is wrong with an environment though its schema accepts it."""
    spec = document.spec
    return (
        *_name(document, environment, folder),
        *asked(_backend, document, environment),
        *asked(_requests, document, environment, spec.get("monitoring", {})),
        *asked(_interval, document, environment),
        *asked(_dashboard, document, environment),
        *_own_runtimes(document, spec.get("runtimes", {})),
        *_freezes(document, spec.get("policy", {}).get("freeze", [])),
        *_authentication(document, spec.get("prometheus", {})),
        *_delivery(document, spec.get("gitops", {})),
    )


def _name(document: Document, environment: Environment, folder: str) -> list[Problem]:
    if environment.name == folder:
        return []
    return [
        document.problem(
            "PS401",
            ("metadata", "name"),
            f"the environment is called `{environment.name}`, but its folder is `{folder}`",
            f"write `name: {folder}`, or rename the folder"
            if validate.is_name("environment", folder)
            else f"rename the folder to {environment.name}",
        )
    ]


def _backend(document: Document, environment: Environment) -> list[Problem]:
    backend, mode = BACKENDS[environment.routing.backend], environment.mode
    found = backend.environment_problems(document, environment)
    if mode != backend.MODE:
        found.append(
            document.problem(
                "PS402",
                ("spec", "routing", "backend"),
                f"the backend {environment.routing.backend} routes to what KServe makes in {backend.MODE} mode, but "
                f"the mode is {mode}",
                f"set spec.kserve.deploymentMode to {backend.MODE}, or choose the backend of {mode} mode",
            )
        )
    return found


def _requests(document: Document, environment: Environment, monitoring: dict[str, Any]) -> list[Problem]:
    if "requests" not in monitoring:
        return []
    return metrics.counter_problems(document, ("spec", "monitoring", "requests"), environment, monitoring["requests"])


def _interval(document: Document, environment: Environment) -> list[Problem]:
    if environment.monitoring.interval <= _LONGEST_INTERVAL:
        return []
    return [
        document.problem(
            "PS416",
            ("spec", "monitoring", "interval"),
            f"with {document.spec['monitoring']['interval']} between scrapes, fewer than four fit into the 5 minutes "
            "that rules look back, and a rate needs two even where scrapes are late or fail",
            f"scrape every {_LONGEST_INTERVAL}s or more often",
        )
    ]


def _dashboard(document: Document, environment: Environment) -> list[Problem]:
    dashboard = environment.monitoring.dashboard
    if dashboard.output != "grafanaDashboard" or dashboard.instance_selector:
        return []
    return [
        document.problem(
            "PS405",
            ("spec", "monitoring", "dashboard"),
            "a GrafanaDashboard reaches no Grafana without instanceSelector",
            "add the labels of your Grafana resource, for example `instanceSelector: {dashboards: grafana}`",
        )
    ]


def _own_runtimes(document: Document, spec: dict[str, Any]) -> list[Problem]:
    found = []
    for name, own in sorted(spec.items()):
        path = ("spec", "runtimes", name)
        if own["like"] not in kserve.RUNTIMES:
            found.append(
                document.problem(
                    "PS406",
                    (*path, "like"),
                    f"`{own['like']}` is not a bundled runtime of KServe",
                    f"use one of {', '.join(sorted(kserve.RUNTIMES))}",
                )
            )
        if len({"modelNameArgument", "modelNameEnv", "modelNameFromArtifact"} & own.keys()) > 1:
            found.append(
                document.problem(
                    "PS407",
                    path,
                    f"runtime {name} says in more than one way how it takes the model's name",
                    "keep one of modelNameArgument, modelNameEnv, modelNameFromArtifact",
                    key=True,
                )
            )
    return found


def _freezes(document: Document, declared: list[dict[str, Any]]) -> list[Problem]:
    if not declared:
        return []
    from generator.domain import freezes  # noqa: PLC0415 (start-up time: time zones are needed by few)

    path = ("spec", "policy", "freeze")
    return [
        document.problem("PS411", (*path, number, key) if key else (*path, number), message, fix)
        for number, one in enumerate(declared)
        for key, message, fix in freezes.mistakes(one)
    ]


def _authentication(document: Document, spec: dict[str, Any]) -> list[Problem]:
    if not {"bearerToken", "basicAuth"} <= spec.keys():
        return []
    return [
        document.problem(
            "PS412",
            ("spec", "prometheus", "basicAuth"),
            "there is a bearerToken too, and a request has one Authorization header",
            "keep the one that the server asks for",
            key=True,
        )
    ]


# Settings that only one of the tools has.
_OF_ONE_TOOL = {
    "project": "argocd",
    "server": "argocd",
    "secret": "flux",
    "serviceAccount": "flux",
    "interval": "flux",
}


def _delivery(document: Document, spec: dict[str, Any]) -> list[Problem]:
    path = ("spec", "gitops")
    found = [
        document.problem(
            "PS413",
            (*path, key),
            f"`{key}` is a setting of {tool}, and the tool is {spec['tool']}",
            "remove it, or change the tool",
            key=True,
        )
        for key, tool in _OF_ONE_TOOL.items()
        if key in spec and tool != spec["tool"]
    ]
    if spec.get("tool") == "flux" and "://" not in spec["repository"]:
        host, _, rest = spec["repository"].partition(":")
        found.append(
            document.problem(
                "PS414",
                (*path, "repository"),
                "Flux takes addresses that begin with https:// or ssh:// only",
                f"write `ssh://{host}/{rest.lstrip('/')}`",
            )
        )
    return found
