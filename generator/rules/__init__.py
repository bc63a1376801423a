"""What a schema cannot say: fields that must fit each other, KServe's limits, the environment's policy.

Each rule is a function of one experiment in one environment; `RULES` is all of them, in the order of reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from generator.domain.model import asked
from generator.rules import analysis, arguments, duration, measuring, policy, rollout, scaling, serving, traffic

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem


class Rule(Protocol):
    """A check; `document` only tells where a field stands."""

    def __call__(self, document: Document, experiment: Experiment, environment: Environment, /) -> list[Problem]:
        """Return what is wrong, in any order."""


RULES: tuple[Rule, ...] = (
    traffic.name,
    traffic.hostname,
    traffic.address,
    traffic.shadow,
    traffic.backend,
    rollout.rollout,
    traffic.envoy_clusters,
    serving.lengths,
    serving.runtime,
    serving.nameless,
    arguments.model_name,
    arguments.ports,
    arguments.workers,
    serving.go_templates,
    serving.storage,
    scaling.resources,
    scaling.replicas,
    scaling.unequal_load,
    serving.logger,
    serving.batcher,
    serving.reserved,
    serving.variables,
    serving.placement,
    measuring.requests,
    measuring.ready_made,
    measuring.endpoints,
    analysis.assignment,
    analysis.floors,
    policy.owner,
    policy.hostname,
    policy.storage,
    policy.loaded,
    policy.loggers,
    policy.patches,
)


def check(document: Document, experiment: Experiment, environment: Environment, today: str) -> tuple[Problem, ...]:
    """Apply every rule; `today` is a date such as `2027-12-31`."""
    return (
        *asked(traffic.expiry, document, experiment, today),
        *asked(duration.duration, document, experiment, environment, today),
        *(problem for rule in RULES for problem in asked(rule, document, experiment, environment)),
    )
