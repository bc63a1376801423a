"""Traffic and monitoring, rendered and verified once for all experiments that are routed and measured alike.

They are most of what is rendered, and depend on little: the experiments of one team differ in names, numbers and
hypothesis only. From its second sight on, such a group is rendered for a made-up experiment, with an odd word in the
place of each of these; the text between the words is what the group has in common. If it holds nothing wrong, and is
the text of an experiment of the group once that one's own words stand there, it serves all others too.

That is sound because a name is letters, digits and hyphens, and no word that YAML reads as something else, and because
numbers take the place of numbers: the text keeps its structure. Hypotheses stand in JSON texts only, where each is
encoded. `tests/test_laws.py` holds filled files against those that are rendered in full.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from generator import names
from generator.documents.scalars import encode, scalar
from generator.domain.model import Experiment, Replicas, Variant
from generator.manifest import Manifest, ObjectId, Planned
from generator.manifests import figures, plan, verify
from generator.manifests.figures import Figures, Written

if TYPE_CHECKING:
    from collections.abc import Hashable

    from generator.domain.model import Environment, Metric
    from generator.manifests.crds import Catalog
    from generator.manifests.readback import Reader
    from generator.manifests.render import Templates

# All that a prototype may depend on, besides whether a variant may sleep. What is not named here is None in it, so that
# using it shows at once.
_OF_EXPERIMENT = frozenset({"owner", "shadow", "requests", "metrics"})
_OF_VARIANT = frozenset({"name", "protocol", "runtime", "timeout"})
_NAME, _HYPOTHESIS = "penstock-odd-name", "Penstock's odd hypothesis"
_NUMBER, _PERCENT = "770{:04d}077", 931009
_MOST = 256


class _File(NamedTuple):
    """A file of the prototype: `pieces` of text, and which word belongs at which of them."""

    path: str
    template: str
    id: ObjectId
    pieces: list[str]
    holes: list[tuple[int, int]]


class Prototypes:
    """Remembers what it has seen. Repositories' own templates may depend on more, and get no prototypes."""

    def __init__(self, templates: Templates, reader: Reader) -> None:
        self._templates = templates
        self._reader = reader
        self._known: dict[Hashable, tuple[_File, ...] | None] = {}

    def filled(self, experiment: Experiment, environment: Environment, catalog: Catalog) -> tuple[Manifest, ...]:
        """Return verified manifests of traffic and monitoring; none where these must be rendered in full."""
        own = names.host(experiment.name, environment.routing.domain), experiment.name
        plain = scalar(experiment.name) == experiment.name and experiment.hypothesis.isprintable()
        if not plain or (experiment.hostname, experiment.model_name) != own or self._templates.overrides:
            return ()
        key = _key(experiment, environment)
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = None
            return ()
        files = self._known[key]
        if files is None:
            files = self._known[key] = self._learned(experiment, environment, catalog)
        return _filled(files, experiment, environment)

    def _learned(self, experiment: Experiment, environment: Environment, catalog: Catalog) -> tuple[_File, ...]:
        """Make the prototype of an experiment's group; nothing if it is wrong, or would not serve this one."""
        made_up, odd = _made_up(experiment, environment)
        prototype = self._rendered(made_up, environment, catalog, odd)
        words = re.compile("(" + "|".join(map(re.escape, _words(made_up, environment, odd))) + ")")
        files = tuple(_split(one, words, _words(made_up, environment, odd)) for one in prototype)
        whole = self._rendered(experiment, environment, catalog, figures.of(experiment))
        filled = _filled(files, experiment, environment)
        same = [(one.planned.path, one.text) for one in filled] == [(one.planned.path, one.text) for one in whole]
        return files if same else ()

    def _rendered(
        self, experiment: Experiment, environment: Environment, catalog: Catalog, written: Figures
    ) -> tuple[Manifest, ...]:
        planned = plan.traffic(experiment, environment) + plan.monitoring(experiment, environment, written)
        manifests, findings = verify.verified(self._templates.render(planned), catalog, self._reader)
        return () if findings else manifests


def _key(experiment: Experiment, environment: Environment) -> Hashable:
    """Return all that decides the text between the words; a runtime has a name of its own in each environment."""
    variants = tuple(
        (one.name, one.protocol, one.runtime.name, one.timeout, one.replicas.minimum > 0, one.traffic > 0)
        for one in experiment.variants
    )
    metrics = tuple(map(_numberless, experiment.metrics))
    return environment.name, experiment.owner, experiment.shadow, experiment.requests, metrics, variants


def _numberless(metric: Metric) -> Metric:
    """Leave of a metric's numbers whether they are declared."""
    declared = {field: None if getattr(metric, field) is None else 1.0 for field in ("mde", "margin", "limit")}
    return metric._replace(**declared, floor=None, baseline=None, minimum_requests=1)  # type: ignore[arg-type]


def _made_up(experiment: Experiment, environment: Environment) -> tuple[Experiment, Figures]:
    """Return an experiment with odd words, in which only what a prototype may depend on is left, and odd numbers."""
    variants = tuple(
        Variant._make(_only(one, _OF_VARIANT))._replace(
            replicas=Replicas._make((int(one.replicas.minimum > 0), None, None, None)),
            traffic=_PERCENT + 10 * number if one.traffic else 0,
        )
        for number, one in enumerate(experiment.variants)
    )
    left = Experiment._make(_only(experiment, _OF_EXPERIMENT))
    host = names.host(_NAME, environment.routing.domain)
    count = iter(range(10_000))
    odd = Figures(
        {one.name: _NUMBER.format(next(count)) for one in variants},
        {one.name: Written(*(_NUMBER.format(next(count)) for _ in Written._fields)) for one in experiment.metrics},
    )
    words = {"name": _NAME, "model_name": _NAME, "hostname": host, "hypothesis": _HYPOTHESIS}
    return left._replace(**words, variants=variants), odd  # type: ignore[arg-type]


def _only(value: Experiment | Variant, fields: frozenset[str]) -> list[Any]:
    return [part if field in fields else None for field, part in zip(value._fields, value, strict=True)]


def _words(experiment: Experiment, environment: Environment, written: Figures) -> list[str]:
    """Return what differs within a group, in a fixed order; the uid first, for it holds the name."""
    return [
        names.dashboard_uid(environment.namespace, experiment.name, environment.cluster),
        experiment.name,
        encode(experiment.hypothesis)[1:-1],
        *(str(variant.traffic) for variant in experiment.serving),
        *written.weights.values(),
        *(word for metric in written.metrics.values() for word in metric),
    ]


def _split(manifest: Manifest, words: re.Pattern[str], order: list[str]) -> _File:
    pieces = words.split(manifest.text)
    holes = [(at, order.index(pieces[at])) for at in range(1, len(pieces), 2)]
    return _File(manifest.planned.path, manifest.planned.template, manifest.planned.id, pieces, holes)


def _filled(files: tuple[_File, ...], experiment: Experiment, environment: Environment) -> tuple[Manifest, ...]:
    name, words = experiment.name, _words(experiment, environment, figures.of(experiment))
    manifests = []
    for file in files:
        pieces = file.pieces.copy()
        for at, word in file.holes:
            pieces[at] = words[word]
        text = "".join(pieces)
        if len(text) > verify.MOST_CHARACTERS:
            return ()
        identity = ObjectId(*file.id[:3], file.id.name.replace(_NAME, name))
        planned = Planned(file.path.replace(_NAME, name), file.template, identity, {}, experiment.source)
        manifests.append(Manifest(planned, text, None))
    return tuple(manifests)
