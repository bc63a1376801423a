"""Rules on arguments and variables of model servers: what Penstock sets, or rests on, is not set by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve
from generator.domain.experiments import setting
from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem


def model_name(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """All variants answer to one name: with another, a server says 404, and it looks like a terrible model."""
    found = []
    for variant in experiment.variants:
        own = variant.runtime.name_argument.replace("_", "-")
        options = (*kserve.NAME_OPTIONS, kserve.Option(own, own)) if own else kserve.NAME_OPTIONS
        for index, argument, _value in kserve.given(variant.args, *options):
            path = setting(document, variant.name, "args", index)
            found.append(_named(document, path, f"`{argument}`", "remove the argument", experiment.model_name))
        name = variant.runtime.name_env or "MLSERVER_MODEL_NAME"
        if any(name == one for one, _value in variant.env):
            path = setting(document, variant.name, "env", name)
            found.append(_named(document, path, "the variable", "remove it", experiment.model_name))
    return found


def _named(document: Document, path: Path, what: str, fix: str, name: str) -> Problem:
    message = f"{what} sets the model's name, which Penstock sets to `{name}` for all variants"
    fix = f"{fix}; spec.modelName says what the model is called"
    return document.problem("PS347", path, message, fix, key=path[-2] == "env")


def ports(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """The route and the monitor lead to the ports that the runtime is known to have."""
    found = []
    for variant in experiment.variants:
        chosen = variant.runtime
        for port, options, name in (
            (chosen.port, kserve.PORT_OPTIONS, kserve.PORT_VARIABLE),
            (chosen.metrics_port, kserve.METRICS_PORT_OPTIONS, kserve.METRICS_PORT_VARIABLE),
        ):
            moved: list[tuple[str, Path]] = [
                (f"`{argument}`", ("args", index))
                for index, argument, value in kserve.given(variant.args, *options)
                if value != str(port)
            ]
            moved += [
                ("the variable", ("env", one)) for one, value in variant.env if one == name and value != str(port)
            ]
            found += [
                document.problem(
                    "PS364",
                    setting(document, variant.name, *keys),
                    f"{what} sets a port, but requests and scrapes of {chosen.name} go to {port}",
                    "remove it; the environment's runtimes say which ports a server has",
                    key=keys[0] == "env",
                )
                for what, keys in moved
            ]
    return found


def workers(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Each process of KServe's Python servers counts for itself (multiprocess/server.py), and one answers a scrape."""
    if "kserve" not in {experiment.requests.source, *(metric.source for metric in experiment.metrics)}:
        return []
    return [
        document.problem(
            "PS365",
            setting(document, variant.name, "args", index),
            f"each of {value} processes counts for itself, and a scrape asks any one: rates and shares would be wrong",
            "scale by replicas instead, or count where all requests pass, for example `requests: {use: istio}`",
            severity=WARNING,
        )
        for variant in experiment.variants
        if variant.runtime.source == "kserve"
        for index, _argument, value in kserve.given(variant.args, kserve.WORKERS_OPTION)
        if value != "1"
    ]
