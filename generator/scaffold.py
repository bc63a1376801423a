"""`penstock init`: the files of a new GitOps repository. What exists is kept as it is."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from generator import resources
from generator.documents import editors, load, validate
from generator.documents.scalars import scalar
from generator.documents.wording import quoted
from generator.problems import PenstockError
from generator.repository import BASE, ENVIRONMENTS, environment_file, experiment_file, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NEW_ENVIRONMENTS = ("staging", "production")
_EXAMPLE = "recommendation-model"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+")
_ATTRIBUTES = ".gitattributes"
# Where forges look, in their order: docs.github.com "About code owners", docs.gitlab.com "Code Owners".
_OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")


class Step(NamedTuple):
    """What was done about a file: `create`, or `keep` for one that exists.

    `lacks` are the lines that a kept one lacks, `differs` what it says otherwise than was asked for, in sentences.
    """

    action: str
    path: str
    lacks: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


class Delivery(NamedTuple):
    """What is to apply the environments, as `spec.gitops` says it. `path` is that of the folder in its repository."""

    tool: str
    repository: str
    branch: str
    path: str


class InitError(PenstockError):
    """The scaffold cannot be made as asked."""

    exit_code = 2


def delivery(directory: str, tool: str, repository: str, branch: str) -> Delivery:
    """Check what `spec.gitops` will say; InitError if Penstock, or the tool, would refuse it."""
    path = _in_repository(os.path.realpath(directory))
    fields = validate.schema("environment")["properties"]["spec"]["properties"]["gitops"]["properties"]
    for field, value in (("repository", repository), ("branch", branch), ("path", path)):
        if value and not re.search(fields[field]["pattern"], value):
            raise InitError(f"{value!r} cannot be the {field}: give {fields[field]['title']}")
    if tool == "flux" and "://" not in repository:
        raise InitError(f"{repository!r} cannot be the repository: Flux takes https:// and ssh:// addresses only")
    return Delivery(tool, repository, branch, path)


def write(
    directory: str, experiment: str, namespace: str, domain: str, applied: Delivery | None = None
) -> Iterator[Step]:
    """Create what is missing, yielding what was done about each file.

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
    owners = next((one for one in _OWNERS if os.path.lexists(f"{directory}/{one}")), "CODEOWNERS")
    files = _files(places, experiment, namespace, domain, applied, owners)
    for path in files:
        _keep_inside(directory, path)
    for path, text in files.items():
        if _create(f"{directory}/{path}", text):
            yield Step("create", path)
        else:
            lacking = _LACKING.get(os.path.basename(path))
            lacks = lacking(f"{directory}/{path}", text) if lacking else ()
            differs = _differing(f"{directory}/{path}", applied) if path.endswith("/environment.yaml") else ()
            yield Step("keep", path, lacks, differs)


def _in_repository(directory: str) -> str:
    """Return the path of a folder in the Git repository that it lies in; "" at the root of one, or outside."""
    here = directory
    while not os.path.lexists(f"{here}/.git"):
        here, child = os.path.dirname(here), here
        if here == child:
            return ""
    return os.path.relpath(directory, here).replace(os.sep, "/").removeprefix(".")


def _missing_lines(path: str, text: str) -> tuple[str, ...]:
    """Return lines whose first word, a pattern of paths, stands in no line of the file: the rest is the user's."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            present = {line.split()[0] for line in file if line.strip()}
    except OSError:
        return ()
    wanted = (line for line in text.splitlines() if line and not line.startswith(("#", "* ")))
    return tuple(line for line in wanted if line.split()[0] not in present)


def _missing_delivery(path: str, text: str) -> tuple[str, ...]:
    """Return the lines of `spec.gitops`, if they are wanted and the environment has none."""
    _, found, block = text.partition("\n  gitops:\n")
    return ("spec:", "  gitops:", *block.splitlines()) if found and "gitops" not in _spec(path) else ()


def _differing(path: str, asked: Delivery | None) -> tuple[str, ...]:
    """Return what an environment's `spec.gitops` says otherwise; what it leaves out is as the schema has it."""
    declared = _spec(path).get("gitops")
    if asked is None or not isinstance(declared, dict):
        return ()
    said = {"branch": "main", "path": "", **declared}
    return tuple(
        f"spec.gitops.{field} is {quoted(str(said.get(field, '')))}, not {quoted(wanted)}"
        for field, wanted in asked._asdict().items()
        if said.get(field, "") != wanted
    )


def _spec(path: str) -> dict[str, Any]:
    data, _problems = load.parse(load.read(*os.path.split(os.path.abspath(path))), path)
    spec = data.get("spec") if isinstance(data, dict) else None
    return spec if isinstance(spec, dict) else {}


_LACKING: dict[str, Callable[[str, str], tuple[str, ...]]] = {
    "CODEOWNERS": _missing_lines,
    _ATTRIBUTES: _missing_lines,
    "environment.yaml": _missing_delivery,
}


def _check(what: str, value: str, form: re.Pattern[str], example: str) -> None:
    if not form.fullmatch(value):
        raise InitError(f"{value!r} cannot be the {what}: use lower-case letters, digits and '-', such as {example}")


def _files(
    environments: tuple[str, ...],
    experiment: str,
    namespace: str,
    domain: str,
    applied: Delivery | None,
    owners: str,
) -> dict[str, str]:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.directory("templates") + "/scaffold"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (the values are checked above, and there is no HTML)
    )
    templates.filters["q"] = scalar

    def text(template: str, **values: object) -> str:
        return templates.get_template(template).render(experiment=experiment, **values)

    files = {experiment_file(BASE, experiment): text("base-experiment.yaml.j2")} if experiment else {}
    for environment in environments:
        last = environment == environments[-1]
        files[environment_file(environment)] = text(
            "environment.yaml.j2",
            environment=environment,
            namespace=namespace if last else f"{namespace}-{environment}",
            domain=domain if last else f"{environment}.{domain}",
            applied=applied,
        )
        if experiment:
            files[experiment_file(environment, experiment)] = text("experiment.yaml.j2")
    for kind in validate.KINDS:
        files[f"schemas/{kind}.json"] = editors.text(kind)
    files[_ATTRIBUTES] = text("gitattributes.j2")
    files[owners] = text("codeowners.j2")
    return files


def _keep_inside(directory: str, path: str) -> None:
    """InitError if a link on the way to a file leads out of the directory; on a file itself, it counts as that file."""
    root, folder = os.path.realpath(directory), os.path.realpath(os.path.dirname(f"{directory}/{path}"))
    if os.path.commonpath((root, folder)) != root:
        raise InitError(
            f"{path} would be written to {folder}, for a link on the way leads out of {directory}: put a real folder "
            "there"
        )


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
