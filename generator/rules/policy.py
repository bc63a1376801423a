"""Rules of the environment's policy: where models may come from, where payloads may go, on which hosts to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from generator import kserve
from generator.domain.experiments import setting
from generator.manifests import stored
from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem


def owner(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Somebody whom the platform team knows answers for the experiment."""
    owners = environment.policy.owners
    if owners is None or experiment.owner in owners:
        return []
    return [
        document.problem(
            "PS372",
            ("spec", "owner"),
            f"environment {environment.name} does not know the owner `{experiment.owner}`",
            f"use one of {', '.join(sorted(owners))}; or ask the platform team to add this one to spec.policy.owners",
        )
    ]


def hostname(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """A team answers on hosts of its environment's domain, and on those that the platform team gives away."""
    allowed, own = environment.policy.hostnames, f"*.{environment.routing.domain}"
    if allowed is None or any(_same_host(one, experiment.hostname) for one in (own, *allowed)):
        return []
    return [
        document.problem(
            "PS373",
            ("spec", "hostname"),
            f"environment {environment.name} does not allow the hostname `{experiment.hostname}`",
            _allowed((own, *allowed)),
        )
    ]


def storage(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Models come from storage that the platform team allows; `storage: {key}` counts as `storage://<key>/<path>`."""
    found = []
    for variant in experiment.variants:
        uri, key = variant.storage_uri, "storageUri"
        if variant.storage:
            uri, key = (
                f"storage://{variant.storage.get('key', '')}/{variant.storage.get('path', '')}",
                "storage",
            )
        elsewhere = environment.policy.storage is not None and bool(variant.storage.get("parameters"))
        if uri and (elsewhere or not permits(environment.policy.storage, uri)):
            found.append(
                document.problem(
                    "PS370",
                    setting(document, variant.name, key),
                    f"environment {environment.name} does not allow models from `{uri}`"
                    + (" with parameters, which may lead elsewhere" if elsewhere else ""),
                    _allowed(environment.policy.storage),
                )
            )
    return found


def loggers(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Payloads, which may be personal data, go to sinks that the platform team allows."""
    found = {}
    for variant in experiment.variants:
        if variant.logger and not permits(environment.policy.loggers, variant.logger.url):
            own: Path = ("spec", "variants", variant.name, "logging", "url")
            path = own if document.has(own) else ("spec", "logging", "url")
            found[path] = document.problem(
                "PS371",
                path,
                f"environment {environment.name} does not allow payloads to be logged to `{variant.logger.url}`",
                _allowed(environment.policy.loggers),
            )
    return list(found.values())


def loaded(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Servers load what their arguments name as well, and remote code from where a model's own files say."""
    allowed, found = environment.policy.storage, []
    for variant in experiment.variants:
        named: list[tuple[Path, str]] = [
            (("args", index), _unnamed(value))
            for index, _argument, value in kserve.given(variant.args, *kserve.LOADING_OPTIONS)
        ]
        named += [(("env", name), str(value)) for name, value in variant.env if name == kserve.LOADING_VARIABLE]
        for keys, where in named:
            uri = where if "://" in where else f"hf://{where}"
            if not where.startswith("/") and not permits(allowed, uri):
                message = f"environment {environment.name} does not allow a server to load `{uri}`"
                path = setting(document, variant.name, *keys)
                found.append(document.problem("PS370", path, message, _allowed(allowed)))
        for index, argument, _value in kserve.given(variant.args, kserve.REMOTE_CODE_OPTION) if allowed else ():
            message = f"`{argument}` runs code from wherever the model's files name, whatever {environment.name} allows"
            path = setting(document, variant.name, "args", index)
            fix = "remove it, or see that the model brings its code along"
            found.append(document.problem("PS370", path, message, fix, severity=WARNING))
    return found


def _unnamed(value: str) -> str:
    """Take away the name that stands before a location, `name=org/adapter`; never a part of a URI."""
    name, _equals, where = value.partition("=")
    return where if where and "/" not in name else value


def patches(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """A patch reaches every field, so what it names is held against the policy too."""
    found = []
    for variant in experiment.variants:
        for keys, uri in ((keys, text) for keys, text in stored.texts(variant.patch) if "://" in text):
            sink = keys[-1] != "storageUri" and "logger" in keys
            prefixes = environment.policy.loggers if sink else environment.policy.storage
            if not permits(prefixes, uri):
                found.append(
                    document.problem(
                        "PS371" if sink else "PS370",
                        setting(document, variant.name, "patch", *keys),
                        f"environment {environment.name} does not allow a patch to name `{uri}`",
                        _allowed(prefixes),
                    )
                )
    return found


def permits(prefixes: tuple[str, ...] | None, uri: str) -> bool:
    """Tell whether a prefix covers the URI: same scheme, same host and port, path below it at a `/`.

    A scheme alone covers all of it. A URI that a reader and a client could understand differently (user info, `..`,
    encoded slashes) is covered by none. `prefixes` None permits everything.
    """
    if prefixes is None:
        return True
    target = _split(uri)
    return target is not None and any(_covers(urlsplit(prefix), target) for prefix in prefixes)


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # reading a port that is not a number raises
    except ValueError:
        return None
    segments = unquote(parts.path).split("/")
    doubtful = "@" in parts.netloc or "\\" in uri or ".." in segments or "." in segments or "%" in parts.path
    return None if doubtful else parts


def _covers(prefix: SplitResult, target: SplitResult) -> bool:
    base = prefix.path.rstrip("/")
    return (
        prefix.scheme == target.scheme
        and (_same_host(prefix.netloc.lower(), target.netloc.lower()) or not (prefix.netloc or prefix.path))
        and (not base or target.path == base or target.path.startswith(base + "/"))
    )


def _same_host(allowed: str, host: str) -> bool:
    """Compare hosts, with a port where they have one; `*.` stands for one label or more, and a label is never empty."""
    if allowed.startswith("*."):
        return host.endswith(allowed[1:]) and all(host.split("."))
    return host == allowed


def _allowed(prefixes: tuple[str, ...] | None) -> str:
    known = ", ".join(prefixes or ()) or "nothing"
    return f"use what its policy allows ({known}), or ask the platform team to extend policy in its environment.yaml"
