"""Rules on what the InferenceServices may say: KServe's webhooks check almost none of it before pods fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve, names
from generator.domain.experiments import latest, setting
from generator.domain.sources import SOURCES
from generator.manifests import stored
from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment, Variant
    from generator.problems import Problem


def lengths(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """No webhook checks the length of names; beyond these limits the service is accepted and never ready."""
    most = kserve.NAME_LIMIT[environment.mode]
    both = kserve.NAME_AND_NAMESPACE_LIMIT[environment.mode]
    found = []
    for variant in experiment.variants:
        name = names.isvc(experiment.name, variant.name)
        if len(name) > most or len(name) + len(environment.namespace) > both:
            found.append(
                document.problem(
                    "PS340",
                    ("spec", "variants", variant.name),
                    f"the InferenceService `{name}` would have {len(name)} characters, and "
                    f"{len(name) + len(environment.namespace)} with its namespace; KServe takes {most} and {both}",
                    "shorten the experiment's or the variant's name",
                    key=True,
                )
            )
    return found


def runtime(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Format, version and protocol are compared as text, and a mismatch shows only in the status of the service."""
    found = []
    for variant in experiment.variants:
        chosen = variant.runtime
        if chosen.since > environment.kserve:
            found.append(
                document.problem(
                    "PS341",
                    setting(document, variant.name, "runtime"),
                    f"{chosen.name} came with KServe {_dotted(chosen.since)}; {environment.name} runs "
                    f"{_dotted(environment.kserve)}",
                    "choose another runtime, or declare it in the environment's runtimes if it is installed",
                )
            )
        if variant.format not in chosen.formats:
            found.append(_format(document, variant))
        elif variant.format_version and variant.format_version not in chosen.formats[variant.format]:
            listed = ", ".join(f'"{version}"' for version in chosen.formats[variant.format])
            found.append(
                document.problem(
                    "PS343",
                    latest(document, variant.name, "formatVersion", "format", "runtime"),
                    f'{chosen.name} lists {variant.format} {listed}, not "{variant.format_version}"; KServe compares '
                    "versions as text",
                    f"use {listed}, or leave formatVersion out",
                )
            )
        if variant.protocol not in chosen.protocols:
            found.append(
                document.problem(
                    "PS344",
                    latest(document, variant.name, "protocol", "runtime"),
                    f"{chosen.name} does not speak {variant.protocol}",
                    f"use {' or '.join(chosen.protocols)}, or another runtime",
                )
            )
    return found + _one_protocol(document, experiment)


def _format(document: Document, variant: Variant) -> Problem:
    listed = ", ".join(sorted(variant.runtime.formats))
    close = [name for name in variant.runtime.formats if name.lower() == variant.format.lower()]
    return document.problem(
        "PS342",
        setting(document, variant.name, "format") if close else latest(document, variant.name, "format", "runtime"),
        f"{variant.runtime.name} does not serve `{variant.format}`",
        f"write `{close[0]}`: KServe compares formats letter by letter"
        if close
        else f"use a format that it serves ({listed}), or another runtime",
    )


def _one_protocol(document: Document, experiment: Experiment) -> list[Problem]:
    control = experiment.control
    return [
        document.problem(
            "PS345",
            document.last(setting(document, one.name, "protocol") for one in (variant, control)),
            f"`{variant.name}` speaks {variant.protocol}, but control `{control.name}` speaks {control.protocol}: one "
            "route sends the same request to either",
            "give all variants one protocol",
        )
        for variant in experiment.candidates
        if variant.protocol != control.protocol
    ] + [
        document.problem(
            "PS345",
            document.last(setting(document, one.name, "runtime") for one in (variant, control)),
            f"`{variant.name}` and control `{control.name}` serve the OpenAI protocol on different paths "
            f"({variant.runtime.name}, {control.runtime.name}): one route reaches only one of them",
            "serve all variants by one kind of runtime",
        )
        for variant in experiment.candidates
        if variant.protocol == control.protocol == "openai"
        and (variant.runtime.source == "vllm") != (control.runtime.source == "vllm")
    ]


def nameless(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Some servers take the model's name from its files, where nothing gives all variants the same."""
    found = []
    for variant in experiment.variants:
        chosen = variant.runtime
        if not (chosen.name_argument or chosen.name_env or chosen.name_from_artifact):
            found.append(
                document.problem(
                    "PS346",
                    setting(document, variant.name, "runtime"),
                    f"{chosen.name} takes the model's name from the artifact, so Penstock cannot give all variants one "
                    "name, and requests for the wrong name fail",
                    "name the model alike in every artifact and say so with a runtime of the environment: "
                    f"`runtimes: {{{chosen.name}: {{like: {chosen.name}, modelNameFromArtifact: true}}}}`",
                )
            )
    return found


def go_templates(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """KServe runs the merged container through Go's templates: `{{` breaks the service or is substituted."""
    found = []
    for variant in experiment.variants:
        texts: list[tuple[tuple[str | int, ...], str]] = [
            (("args", index), argument) for index, argument in enumerate(variant.args)
        ]
        texts += [(("env", name), value) for name, value in variant.env if isinstance(value, str)]
        found += [
            document.problem(
                "PS348",
                setting(document, variant.name, *keys),
                "`{{` is read as a Go template by KServe's controller, which breaks the service or replaces the text",
                "put the text in a file of the model or in a ConfigMap",
            )
            for keys, text in texts
            if "{{" in text
        ]
    return found


def storage(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """A model comes from one place, by a scheme that KServe knows, or that the environment's policy says it was taught.

    A ClusterStorageContainer teaches it (validateStorageURI: pkg/controller/v1beta1/inferenceservice/utils/utils.go).
    """
    taught = {prefix.split("://")[0] for prefix in environment.policy.storage or ()}
    found = []
    for variant in experiment.variants:
        if bool(variant.storage_uri) == bool(variant.storage):
            has = "both storageUri and storage" if variant.storage else "neither storageUri nor storage"
            found.append(
                document.problem(
                    "PS349",
                    ("spec", "variants", variant.name),
                    f"variant `{variant.name}` has {has}",
                    "keep one: `storageUri: gs://bucket/path`, or `storage: {key: …, path: …}`",
                    key=True,
                )
            )
        scheme = variant.storage_uri.split("://")[0]
        if scheme and scheme not in kserve.STORAGE_SCHEMES and scheme not in taught:
            found.append(
                document.problem(
                    "PS350",
                    setting(document, variant.name, "storageUri"),
                    f"KServe by itself does not load models from `{scheme}://`",
                    f"use one of {', '.join(kserve.STORAGE_SCHEMES)}; or, if a ClusterStorageContainer of the cluster "
                    f"takes it, name `{scheme}://` in spec.policy.storage of the environment",
                )
            )
    return found


def logger(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """KServe's agent: no default mode, headers compared exactly, a comma in an annotation kills it."""
    found = []
    for variant in experiment.variants:
        for keys, message, fix in _logger_mistakes(variant):
            own = ("spec", "variants", variant.name, "logging", *keys)
            path = own if document.has(own) else ("spec", "logging", *keys)
            found.append(document.problem("PS356", path, message, fix, key=not keys))
    return found


def _logger_mistakes(variant: Variant) -> list[tuple[tuple[str | int, ...], str, str]]:
    log = variant.logger
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    if log is None:
        return []
    for key, value in (("mode", log.mode), ("url", log.url)):
        if not value:
            found.append(((), f"the logger has no {key}, and KServe has no default", f"add {key}"))
    for index, header in enumerate(log.headers):
        form = "-".join(part[:1].upper() + part[1:].lower() for part in header.split("-"))
        if form != header:
            found.append(
                (
                    ("metadataHeaders", index),
                    f"KServe's agent compares header names exactly, and never sees `{header}`",
                    f"write `{form}`",
                )
            )
    annotations = dict(variant.pod_annotations)
    for index, name in enumerate(log.annotations):
        if "," in annotations.get(name, ""):
            found.append(
                (
                    ("metadataAnnotations", index),
                    f"annotation `{name}` holds a comma, at which KServe's agent exits",
                    "remove the comma, or the entry",
                )
            )
    lacking = ", ".join(key for key in ("path", "key", "parameters") if key not in log.storage)
    if log.storage and lacking:
        found.append((("storage",), f"the logger's storage has no {lacking}, and KServe refuses it", f"add {lacking}"))
    blob = not log.url.startswith("http")
    if log.url and blob != bool(log.storage):
        found.append(
            (
                ("url",),
                f"logging to `{log.url}` {'needs' if blob else 'takes no'} storage",
                "add storage with path, key and parameters" if blob else "remove storage, or log to s3, gs or abfs",
            )
        )
    return found


def batcher(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """The batcher answers failures with 200 and never writes a status: the logger then logs no response at all."""
    found = []
    for variant in experiment.variants:
        if variant.batcher is None:
            continue
        path = setting(document, variant.name, "batcher")
        if variant.logger and variant.logger.mode != "request":
            found.append(
                document.problem(
                    "PS357",
                    path,
                    "a batcher and logged responses do not go together: KServe's batcher sets no status, so its logger "
                    "would never log a response",
                    "remove the batcher, or log with `mode: request`",
                    key=True,
                )
            )
        source = experiment.requests.source
        if source and SOURCES[source].by_server:
            found.append(
                document.problem(
                    "PS358",
                    path,
                    "behind a batcher the model server counts batches, not requests: shares, sample ratio mismatch and "
                    "error rates would be wrong",
                    "count requests at the gateway: `requests: {use: istio}` or envoy-gateway",
                    key=True,
                    severity=WARNING,
                )
            )
    return found


def reserved(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Labels and variables that KServe, Argo CD or Penstock own."""
    found = []
    for variant in experiment.variants:
        for part, entries in (("podLabels", variant.pod_labels), ("podAnnotations", variant.pod_annotations)):
            found += [
                document.problem(
                    "PS359",
                    setting(document, variant.name, part, name),
                    f"`{name}` belongs to {owner}",
                    "choose another name",
                    key=True,
                )
                for name, _value in entries
                if (owner := _owner(name))
            ]
        if any(name == "PYTHONPATH" for name, _value in variant.env):
            found.append(
                document.problem(
                    "PS359",
                    setting(document, variant.name, "env", "PYTHONPATH"),
                    "KServe's webhook refuses PYTHONPATH",
                    "build an own runtime image instead",
                    key=True,
                )
            )
    return found


def variables(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A variant's source of a variable merges with the model's; a variable has but one."""
    return [
        document.problem(
            "PS362",
            setting(document, variant.name, "env", name),
            f"`{name}` of variant `{variant.name}` has {' and '.join(value)}, one of them from spec.model",
            f"take away the other with null, for example `{next(iter(value))}: null`",
            key=True,
        )
        for variant in experiment.variants
        for name, value in variant.env
        if isinstance(value, dict) and len(value) > 1
    ]


def placement(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Tolerations and affinity are passed on as they are, so they must stand as the cluster stores them."""
    return [
        document.problem(
            "PS352",
            setting(document, variant.name, part, *keys),
            f"{message}: Argo CD would report a difference for ever",
            fix,
        )
        for variant in experiment.variants
        for part, node in (("tolerations", [*variant.tolerations]), ("affinity", variant.affinity))
        for keys, message, fix in stored.differences(node)
    ]


def _owner(name: str) -> str:
    if name == names.ENDPOINT_LABEL or name.startswith("penstock.dev/"):
        return "Penstock"
    if name.partition("/")[0].endswith(("serving.kserve.io", "networking.kserve.io", "knative.dev")) or name in (
        "component",
        "app",
    ):
        return "KServe"
    if name == "app.kubernetes.io/instance" or name.startswith("argocd.argoproj.io/"):
        return "Argo CD, which would claim and prune KServe's children by it"
    return ""


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
