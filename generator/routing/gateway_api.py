"""Gateway API: weights on one HTTPRoute, whatever the number of variants (sigs.k8s.io/gateway-api, standard channel).

The route relies on nothing of KServe's but the Service `<isvc>-predictor`, port 80, of Standard mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve, names
from generator.manifest import ObjectId, Planned
from generator.routing.httproute import Match, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment, Variant
    from generator.problems import Problem

MODE = kserve.STANDARD
_API = "gateway.networking.k8s.io/v1"


def environment_problems(document: Document, environment: Environment) -> list[Problem]:
    """A route needs a Gateway to attach to."""
    if environment.routing.gateway.name:
        return []
    return [
        document.problem(
            "PS403",
            ("spec", "routing"),
            "the backend gateway-api needs a Gateway that routes attach to",
            "add gateway, for example `gateway: {name: kserve-ingress-gateway, namespace: kserve}`",
            key=True,
        )
    ]


def experiment_problems(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Partial mirroring is younger than mirroring; a variant's host must be a DNS label."""
    found = []
    routing = environment.routing
    if experiment.shadow and experiment.shadow.percent < 100 and routing.gateway_api < (1, 3):
        major, minor = routing.gateway_api
        found.append(
            document.problem(
                "PS316",
                ("spec", "shadow", "percent"),
                f"Gateway API {major}.{minor} copies all requests or none; a percentage is standard since 1.3",
                "remove percent, or set routing.gatewayApiVersion in the environment if yours is newer",
            )
        )
    longest = max((variant.name for variant in experiment.variants), key=len)
    label = names.isvc(experiment.name, longest)
    if routing.variant_hosts and len(label) > 63:
        found.append(
            document.problem(
                "PS312",
                ("metadata", "name"),
                f"the hostname label `{label}` of a variant has {len(label)} characters; DNS takes 63",
                "shorten the names, or set routing.variantHosts to false in the environment",
            )
        )
    return found


def hostnames(experiment: Experiment, environment: Environment) -> tuple[str, ...]:
    """Return the experiment's host and, if wanted, one for each variant."""
    routing = environment.routing
    own = [names.host(experiment.name, routing.domain, v.name) for v in experiment.variants]
    return (experiment.hostname, *(own if routing.variant_hosts else ()))


def paths(experiment: Experiment) -> tuple[str, ...]:
    """Return the paths of the one protocol that all variants speak."""
    return kserve.paths(experiment.control.protocol, experiment.control.runtime, experiment.model_name)


def planned(experiment: Experiment, environment: Environment, folder: str) -> Iterator[Planned]:
    """Plan the experiment's HTTPRoute, and one for each variant's own host."""
    everyone = [_target(experiment, variant, 1) for variant in experiment.variants]
    forced = [Rule((target,), forced=target.variant) for target in everyone]
    yield _route(
        experiment,
        environment,
        folder,
        names.route(experiment.name),
        experiment.hostname,
        [*forced, _split(experiment)],
    )
    if environment.routing.variant_hosts:
        for target in everyone:
            host = names.host(experiment.name, environment.routing.domain, target.variant)
            yield _route(
                experiment,
                environment,
                folder,
                names.route(experiment.name, target.variant),
                host,
                [Rule((target,))],
            )


def matches(experiment: Experiment) -> tuple[Match, ...]:
    """Paths that reach the model and nothing else.

    A prefix matches whole segments, so it would miss `:predict`; the prefix `/` would publish /metrics and the
    repository's load and unload (kserve: protocol/rest/v1_endpoints.py, v2_endpoints.py).
    """
    kind = "PathPrefix" if experiment.control.protocol == "v2" else "Exact"
    return tuple(Match(kind, path) for path in paths(experiment))


def duration(seconds: int) -> str:
    """Write seconds as Gateway API takes them: at most five digits of a unit (its GEP-2257)."""
    if seconds <= 99_999:
        return f"{seconds}s"
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _split(experiment: Experiment) -> Rule:
    targets = tuple(_target(experiment, variant, variant.traffic) for variant in experiment.serving)
    if experiment.shadow is None:
        return Rule(targets)
    mirror = Target(
        experiment.shadow.variant, kserve.service(names.isvc(experiment.name, experiment.shadow.variant)), 0
    )
    return Rule(targets, mirror=mirror, percent=experiment.shadow.percent)


def _target(experiment: Experiment, variant: Variant, weight: int) -> Target:
    return Target(variant.name, kserve.service(names.isvc(experiment.name, variant.name)), weight)


def _route(
    experiment: Experiment, environment: Environment, folder: str, name: str, host: str, rules: list[Rule]
) -> Planned:
    # KServe's own timeout stands on KServe's own routes only. Of all variants the longest: a shorter one would cut
    # the answers of one arm.
    own = [variant.timeout for variant in experiment.variants if variant.timeout]
    return Planned(
        f"{folder}/{names.manifest_file('HTTPRoute', name)}",
        "httproute.yaml.j2",
        ObjectId(_API, "HTTPRoute", environment.namespace, name),
        {
            "routing": environment.routing,
            "host": host,
            "matches": matches(experiment),
            "rules": rules,
            "timeout": duration(max(own, default=environment.routing.timeout)),
        },
        experiment.source,
    )
