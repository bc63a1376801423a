"""What cannot be held against the state before, since that is wrong: said, rather than passed over.

What the state after tells by itself is checked all the same: freezes, authors, owners, storage and sinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.problems import ERROR, WARNING, Place, Problem
from generator.repository import environment_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.reviews.meaning import EnvironmentChange, ExperimentChange


def of_experiment(change: ExperimentChange, objects: Iterable[str]) -> Iterator[Problem]:
    """Yield what cannot be held of a change, of which `objects` are the manifests that differ.

    Where traffic stays, by what is spelled out or by the routes that are committed, there is no step to hold.
    """
    kept = change.kept
    if "before" not in change.wrong or (kept and kept.spec):
        return
    routed = not any("/traffic/" in path for path in objects)
    if (kept.control and (kept.traffic or routed)) if kept else routed:
        yield change.problem(
            "PS712",
            ("spec", "traffic"),
            f"{change.label} could not be read before; its traffic stays as it was, so that there is no step to hold "
            "against policy and rollout",
            "look at what else of it changes: nothing is compared with the state before",
            WARNING,
        )
    else:
        yield change.problem(
            "PS712",
            ("spec", "traffic"),
            f"nothing holds this change against the largest step, the declared rollout and control, since "
            f"{change.label} cannot be read as it was before",
            "mend it first, in a change of its own which leaves traffic as it is deployed",
        )


def of_environment(
    environment: EnvironmentChange, changes: Iterable[ExperimentChange], *, templates: bool
) -> Iterator[Problem]:
    """Yield that the policy before is not known; it matters where experiments change as well, or all by `templates`."""
    if environment.wrong != ("before",):
        return
    within = [one for one in changes if one.environment == environment.name]
    touched = [one.label for one in within if templates or not (one.kept and one.kept.spec)]
    where = Place(environment_file(environment.name))
    if touched:
        yield Problem(
            "PS712",
            where,
            f"nothing holds {', '.join(touched)} against the policy of {environment.name}, since its file cannot be "
            "read as it was before",
            "mend it first, in a change of its own which leaves its experiments as they are",
            "spec.policy",
            ERROR,
        )
    else:
        yield Problem(
            "PS712",
            where,
            f"the policy of {environment.name} could not be read before; none of its experiments says anything else "
            "than before, so that there is nothing to hold against it",
            "look at what else of the file changes: nothing is compared with the state before",
            "spec.policy",
            WARNING,
        )
