"""`penstock init`: the files of a new GitOps repository. What exists is kept as it is."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import jinja2

from generator import resources
from generator.problems import PenstockError
from generator.repository import BASE, ENVIRONMENTS, environment_file, experiment_file, take
from generator.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW_ENVIRONMENTS = ("staging", "production")
_EXAMPLE = "recommendation-model"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+")


class InitError(PenstockError):
    """The scaffold cannot be made as asked."""

    exit_code = 2


def write(directory: str, experiment: str, namespace: str, domain: str) -> Iterator[tuple[str, str]]:
    """Create what is missing, yielding for each file what was done: `create`, or `keep` for one that exists.

    Without `experiment`, an example is made only in a repository that has no experiment yet.
    """
    for what, value, form, example in (
        ("experiment", experiment or _EXAMPLE, _NAME, _EXAMPLE),
        ("namespace", namespace, _NAME, "ml-serving"),
        ("domain", domain, _DOMAIN, "models.example.com"),
    ):
        _check(what, value, form, example)
    environments = f"{directory}/{ENVIRONMENTS}"
    present = take(directory) if os.path.isdir(environments) else None
    places = tuple(present.environments) if present and present.environments else _NEW_ENVIRONMENTS
    if not experiment and not (present and (present.base or any(present.environments.values()))):
        experiment = _EXAMPLE
    for path, text in _files(places, experiment, namespace, domain).items():
        yield ("create" if _create(f"{directory}/{path}", text) else "keep"), path


def _check(what: str, value: str, form: re.Pattern[str], example: str) -> None:
    if not form.fullmatch(value):
        raise InitError(f"{value!r} cannot be the {what}: use lower-case letters, digits and '-', such as {example}")


def _files(environments: tuple[str, ...], experiment: str, namespace: str, domain: str) -> dict[str, str]:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.directory("templates") + "/scaffold"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (the values are checked above, and there is no HTML)
    )
    templates.filters["q"] = scalar

    def text(template: str, **values: str) -> str:
        return templates.get_template(template).render(experiment=experiment, **values)

    files = {experiment_file(BASE, experiment): text("base-experiment.yaml.j2")} if experiment else {}
    for environment in environments:
        last = environment == environments[-1]
        files[environment_file(environment)] = text(
            "environment.yaml.j2",
            environment=environment,
            namespace=namespace if last else f"{namespace}-{environment}",
            domain=domain if last else f"{environment}.{domain}",
        )
        if experiment:
            files[experiment_file(environment, experiment)] = text("experiment.yaml.j2")
    for kind in ("experiment", "environment"):
        with open(f"{resources.directory('schemas')}/{kind}.json", encoding="utf-8") as file:
            files[f"schemas/{kind}.json"] = file.read()
    files[".gitattributes"] = text("gitattributes.j2")
    files["CODEOWNERS"] = text("codeowners.j2")
    return files


def _create(path: str, text: str) -> bool:
    """Write a file that does not exist; a link that leads nowhere counts as one that does."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise InitError(f"{path} cannot be written: {(error.strerror or 'unknown reason').lower()}") from error
    return True
