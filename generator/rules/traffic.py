"""Rules on names, hosts, shadow traffic and the declared rollout."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from generator import names
from generator.documents import validate
from generator.problems import WARNING
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem


def name(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """The file is found by the experiment's name, and the rendered folders are named by it."""
    expected = document.file.rpartition("/")[2].removesuffix(".yaml")
    if experiment.name == expected:
        return []
    return [
        document.problem(
            "PS310",
            ("metadata", "name"),
            f"the experiment is called `{experiment.name}`, but its file is `{expected}.yaml`",
            f"write `name: {expected}`, or rename the file"
            if validate.is_name("experiment", expected)
            else f"rename the file to {experiment.name}.yaml",
        )
    ]


def expiry(document: Document, experiment: Experiment, today: str) -> list[Problem]:
    """An experiment ends: canaries that nobody ends live for ever. What has no candidate has ended."""
    path = ("spec", "expires")
    try:
        date.fromisoformat(experiment.expires)
    except ValueError:
        return [
            document.problem(
                "PS323",
                path,
                f"`{experiment.expires}` is not in the calendar",
                "write a date that exists, as year-month-day",
            )
        ]
    if experiment.expires >= today or not experiment.candidates:
        return []
    return [
        document.problem(
            "PS322",
            path,
            f"the experiment expired on {experiment.expires}",
            "conclude it and remove the losing variants, or move expires if it shall go on",
        )
    ]


def hostname(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """KServe computes hosts of its own from the same domain; equal matches on one host go to the oldest route."""
    namespace = environment.namespace
    found = []
    owned = {
        host: variant.name
        for variant in experiment.variants
        for host in names.kserve_hosts(names.isvc(experiment.name, variant.name), namespace, environment.routing.domain)
    }
    if experiment.hostname in owned:
        found.append(
            document.problem(
                "PS311",
                ("spec", "hostname"),
                f"`{experiment.hostname}` is the host that KServe gives variant {owned[experiment.hostname]}",
                "choose another hostname, or leave it out",
            )
        )
    return found


def address(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A hostname of Gateway API is no IP address, and clients read one that ends in a number as such (WHATWG URL)."""
    if not experiment.hostname.rpartition(".")[2].isdecimal():
        return []
    return [
        document.problem(
            "PS366",
            ("spec", "hostname"),
            f"`{experiment.hostname}` ends in a number, so clients take it for an IP address, which no route can have",
            "write a name of the DNS, or leave it out",
        )
    ]


def backend(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Each routing backend knows what it cannot do."""
    return BACKENDS[environment.routing.backend].experiment_problems(document, experiment, environment)


def shadow(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A shadow variant gets copies only."""
    if experiment.shadow is None:
        return []
    chosen = {variant.name: variant for variant in experiment.variants}.get(experiment.shadow.variant)
    path = ("spec", "shadow", "variant")
    if chosen is None:
        known = ", ".join(v.name for v in experiment.variants)
        return [
            document.problem(
                "PS313",
                path,
                f"the shadow is `{experiment.shadow.variant}`, which is not a variant",
                f"use one of {known}",
            )
        ]
    found = []
    if chosen.traffic:
        found.append(
            document.problem(
                "PS314",
                path,
                f"`{chosen.name}` is the shadow, but also gets {chosen.traffic} % of the traffic; its metrics would "
                "mix answers that users see with copies that nobody sees",
                "set its traffic to 0, or remove shadow",
            )
        )
    return found


def envoy_clusters(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Envoy Gateway numbers a rule's backends, and a variant at 0 % is none: the numbers behind it then shift."""
    scopes = {experiment.requests.scope.kind, *(metric.scope.kind for metric in experiment.metrics)}
    ordered = (experiment.control, *experiment.candidates)
    idle = [variant.traffic == 0 for variant in ordered]
    if "envoy" not in scopes or True not in idle or False not in idle[idle.index(True) :]:
        return []
    variant = ordered[idle.index(True)].name
    return [
        document.problem(
            "PS320",
            ("spec", "traffic", variant),
            f"when `{variant}` leaves 0 %, Envoy Gateway renumbers the clusters behind it, and their older metrics "
            "count for the wrong variant",
            "measure at the model servers instead, or give the idle variant a name that sorts last",
            severity=WARNING,
        )
    ]
