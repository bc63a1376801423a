"""The line, in order: load, overlay, validate, model, plan, render, verify.

`build` is the only function that knows it. It reads files and returns values; it writes nothing. What happens to many
experiments at once, and on disk, is `batch`'s business.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from generator import rules
from generator.documents.document import Document
from generator.documents.load import Files
from generator.domain import claims, experiments, interpret
from generator.domain.model import Environment, Experiment, asked
from generator.manifest import Manifest
from generator.manifests import catalog, plan, verify
from generator.manifests.crds import Catalog
from generator.manifests.readback import Reader
from generator.problems import Place, Problem, ProblemsError, errors

if TYPE_CHECKING:
    from generator.manifests.prototypes import Prototypes
    from generator.manifests.render import Templates


class Site(NamedTuple):
    """An environment with what it means for all of its experiments."""

    environment: Environment
    document: Document
    catalog: Catalog
    problems: tuple[Problem, ...]


class Build(NamedTuple):
    """One experiment, rendered and verified; `problems` are warnings only."""

    experiment: Experiment
    manifests: tuple[Manifest, ...]
    claims: tuple[str, ...]
    problems: tuple[Problem, ...]


def site(files: Files, name: str, crds: str = "") -> Site:
    """Read an environment; ProblemsError if it is wrong. `crds` is a folder of the user's own CRDs, or ""."""
    environment, document, problems = interpret.environment(files, name)
    return Site(environment, document, catalog.of(environment, crds), problems)


def build(
    files: Files,
    place: Site,
    name: str,
    *,
    in_base: bool,
    templates: "Templates",
    reader: Reader,
    today: str,
    prototypes: "Prototypes | None" = None,
) -> Build:
    """Turn one experiment into verified manifests, or raise ProblemsError with everything that is wrong with it.

    `prototypes` save work where many experiments are built one after the other.
    """
    read = interpret.read(files, place.environment, place.document, name, in_base=in_base)
    experiment, document, problems = read
    problems += rules.check(document, experiment, place.environment, today)
    problems += asked(claims.clashes, document, experiment, place.environment)
    if errors(problems):
        problems += asked(_of_patches, document, experiment, place, templates, reader, problems)
    interpret.refuse(problems)
    planned = plan.models(experiment, place.environment)
    filled = prototypes.filled(experiment, place.environment, place.catalog) if prototypes else ()
    if not filled:
        planned += plan.traffic(experiment, place.environment) + plan.monitoring(experiment, place.environment)
    manifests, findings = verify.verified(templates.render(planned), place.catalog, reader)
    problems += tuple(_blamed(finding, document, templates) for finding in findings)
    if any(variant.patch for variant in experiment.variants):
        from generator.rules import patched  # noqa: PLC0415 (start-up time: few have patches)

        problems += patched.check(document, experiment, place.environment, manifests)
    interpret.refuse(problems)
    return Build(experiment, (*manifests, *filled), claims.of(experiment, place.environment), problems)


def unplaced(files: Files, environment: str, name: str, *, in_base: bool, today: str) -> tuple[Problem, ...]:
    """Return what is wrong with an experiment whose environment is, as far as that can be told without it."""
    try:
        place, (experiment, document, problems) = interpret.unplaced(files, environment, name, in_base=in_base)
    except ProblemsError as error:
        return error.problems
    return problems + rules.check(document, experiment, place, today)


def _of_patches(
    document: Document,
    experiment: Experiment,
    place: Site,
    templates: "Templates",
    reader: Reader,
    known: tuple[Problem, ...],
) -> Iterator[Problem]:
    """Say what patches make wrong of an experiment that is wrong elsewhere as well."""
    if not any(variant.patch for variant in experiment.variants):
        return
    from generator.rules import patched  # noqa: PLC0415 (start-up time: few have patches)

    try:
        rendered = templates.render(plan.models(experiment, place.environment))
    except ProblemsError:
        return
    manifests, findings = verify.verified(rendered, place.catalog, reader)
    found = [
        _blamed(one, document, templates)
        for one in findings
        if one.manifest.planned.patch and patched.source(document, one.manifest.planned.values["variant"], one.path)
    ]
    found += patched.check(document, experiment, place.environment, manifests)
    places = {one.place for one in known}
    yield from (one for one in found if one.place not in places)


# Settings that stand in an InferenceService as they are, below spec.predictor.
_PASSED_ON = ("affinity", "nodeSelector", "tolerations")


def _blamed(finding: verify.Finding, document: Document, templates: "Templates") -> Problem:
    """Blame the user's patch or affinity for what they say, what there is too much of, and else the template."""
    planned = finding.manifest.planned
    if planned.patch:
        from generator.rules import patched  # noqa: PLC0415 (start-up time: few have patches)

        variant = planned.values["variant"]
        if patched.source(document, variant, finding.path):
            return patched.problem(document, variant, finding.code, finding.path, finding.message, finding.fix)
    if planned.id.kind == "InferenceService" and finding.path[2:3] and finding.path[2] in _PASSED_ON:
        path = experiments.setting(document, planned.values["variant"].name, *finding.path[2:])
        message = f"the InferenceService would be wrong: {finding.message}"
        return document.problem(finding.code, path, message, finding.fix)
    if finding.code == "PS511" and templates.file(planned.template).startswith("penstock:"):
        path = ("spec", "metrics") if document.has(("spec", "metrics")) else ("spec", "variants")
        return document.problem("PS511", path, f"{planned.id}: {finding.message}", finding.fix, key=True)
    return blame(finding, templates)


def blame(finding: verify.Finding, templates: "Templates") -> Problem:
    """Blame the template for what is wrong with an object that no patch touched."""
    from generator.documents.wording import dotted  # noqa: PLC0415 (start-up time: only mistakes need words)

    planned = finding.manifest.planned
    template = "dashboard.json.j2" if finding.code == "PS509" else planned.template
    message = f"{planned.id}: {finding.message}"
    return Problem(finding.code, Place(templates.file(template)), message, finding.fix, dotted(finding.path))
