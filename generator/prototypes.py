"""What measures an experiment, rendered and verified once for all experiments that are measured alike.

Monitoring is half of what is rendered, and depends on little: 1,000 experiments of one team differ in name and
hypothesis only. From its second sight on, such a group is rendered for two experiments with made-up names. If the
two differ in the names alone, and hold nothing wrong, then so do all others, whose files are filled in from the first.

That is sound because a name is letters, digits and hyphens, and no word that YAML reads as something else: a text in
which it takes the place of another keeps its structure. Hypotheses stand in JSON texts only, where each is encoded.
`tests/test_laws.py` holds filled files against those that are rendered in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from generator import names, plan, verify
from generator.manifest import Manifest, ObjectId, Planned
from generator.model import Experiment, Variant
from generator.scalars import encode, scalar

if TYPE_CHECKING:
    from collections.abc import Hashable

    from generator.crds import Catalog
    from generator.model import Environment
    from generator.readback import Reader
    from generator.render import Templates

# All that monitoring may depend on. What is not named here is None in the prototype, so that using it shows at once.
_OF_EXPERIMENT = frozenset({"owner", "shadow", "requests", "metrics"})
_OF_VARIANT = frozenset({"name", "runtime", "replicas", "traffic"})
_FIRST, _SECOND = ("penstock-first-slot", "Penstock's first slot"), ("penstock-second-slot", "Penstock's second slot")
_MOST = 256


class _File(NamedTuple):
    path: str
    template: str
    id: ObjectId
    text: str


class Prototypes:
    """Monitoring by what it depends on; remembers what it has seen. Repositories' own templates may depend on more."""

    def __init__(self, templates: Templates, reader: Reader) -> None:
        self._templates = templates
        self._reader = reader
        self._known: dict[Hashable, tuple[_File, ...] | None] = {}

    def monitoring(self, experiment: Experiment, environment: Environment, catalog: Catalog) -> tuple[Manifest, ...]:
        """Return the verified manifests of an experiment's monitoring; none where it must be rendered in full."""
        if self._templates.overrides or scalar(experiment.name) != experiment.name:
            return ()
        key = (environment.name, *_only(experiment, _OF_EXPERIMENT), *map(_variant, experiment.variants))
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = None
            return ()
        files = self._known[key]
        if files is None:
            files = self._known[key] = self._learned(experiment, environment, catalog)
        return _filled(files, experiment, environment) if experiment.hypothesis.isprintable() else ()

    def _learned(self, experiment: Experiment, environment: Environment, catalog: Catalog) -> tuple[_File, ...]:
        """Render and verify for two made-up experiments; nothing unless they are alike and right."""
        first, second = (
            self._rendered(_made_up(experiment, *slot), environment, catalog) for slot in (_FIRST, _SECOND)
        )
        values = _values(environment, *_SECOND)
        alike = [(one.path, one.text) for one in second] == [
            (_put(f.path, values), _put(f.text, values)) for f in first
        ]
        return first if alike else ()

    def _rendered(self, experiment: Experiment, environment: Environment, catalog: Catalog) -> tuple[_File, ...]:
        planned = plan.monitoring(experiment, environment)
        manifests, findings = verify.verified(self._templates.render(planned), catalog, self._reader)
        if findings:
            return ()
        return tuple(_File(one.planned.path, one.planned.template, one.planned.id, one.text) for one in manifests)


def _variant(variant: Variant) -> tuple[Hashable, ...]:
    """Return what a variant is known by; a runtime has a name of its own in each environment."""
    return tuple(_only(variant._replace(runtime=variant.runtime.name), _OF_VARIANT))  # type: ignore[arg-type]


def _made_up(experiment: Experiment, name: str, hypothesis: str) -> Experiment:
    """Return an experiment with that name, in which only what monitoring may depend on is left."""
    variants = tuple(Variant._make(_only(one, _OF_VARIANT)) for one in experiment.variants)
    left = Experiment._make(_only(experiment, _OF_EXPERIMENT))
    return left._replace(name=name, hypothesis=hypothesis, variants=variants)


def _only(value: Experiment | Variant, fields: frozenset[str]) -> list[Any]:
    return [part if field in fields else None for field, part in zip(value._fields, value, strict=True)]


def _filled(files: tuple[_File, ...], experiment: Experiment, environment: Environment) -> tuple[Manifest, ...]:
    name, slot = experiment.name, _FIRST[0]
    values = _values(environment, name, experiment.hypothesis)
    manifests = []
    for file in files:
        text = _put(file.text, values)
        if len(text) > verify.MOST_CHARACTERS:
            return ()
        identity = ObjectId(*file.id[:3], file.id.name.replace(slot, name))
        planned = Planned(file.path.replace(slot, name), file.template, identity, {}, experiment.source)
        manifests.append(Manifest(planned, text, None))
    return tuple(manifests)


def _values(environment: Environment, name: str, hypothesis: str) -> tuple[tuple[str, str], ...]:
    """Return what stands in the first made-up experiment's files and what belongs there; free text comes last."""
    old, new = (names.dashboard_uid(environment.namespace, one, environment.cluster) for one in (_FIRST[0], name))
    return (old, new), (_FIRST[0], name), (_FIRST[1], encode(hypothesis)[1:-1])


def _put(text: str, values: tuple[tuple[str, str], ...]) -> str:
    for old, new in values:
        text = text.replace(old, new)
    return text
