"""Several metrics and variants at once: what each of them has to show so that the whole errs seldom enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from generator.analysis.counts import Design, Question


class Levels(NamedTuple):
    """The level of each test; its e-value must reach 1/level.

    Any metric may roll a variant back, and any success metric promote it, so these levels are shared out (Bonferroni)
    over variants and metrics; all guardrails must pass, so theirs are shared out over variants only (Schultzberg,
    Ankargren & Franberg 2024, arXiv:2402.11609). A guardrail with a floor may pass in two ways, each at half.
    """

    harm: float
    better: float
    margin: float
    margin_beside_floor: float


def levels(design: Design) -> Levels:
    """Share out the design's error rates over its candidates and the metrics that decide."""
    questions = deciding(design)
    variants = max(1, len(design.candidates))
    successes = max(1, sum(question.role == "success" for question in questions))
    ship = design.alpha_ship / variants
    harm = design.alpha_harm / (variants * max(1, len(questions)))
    return Levels(harm, ship / successes, ship, ship / 2)


def deciding(design: Design) -> tuple[Question, ...]:
    """Return the questions that counts can answer: a mean is a sum, of which no distribution is known."""
    return tuple(question for question in design.questions if question.kind != "mean")


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values min(1, m p)."""
    return [min(1.0, p * len(p_values)) for p in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values of the step-down procedure (Holm 1979); for an e-value, p = min(1, 1/E)."""
    adjusted = [1.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def e_benjamini_hochberg(e_values: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Return what is rejected at false discovery rate alpha, under any dependence (Wang & Ramdas, JRSS-B 84, 2022).

    The k largest, with the largest k for which the k-th is at least K/(k alpha). For "which of 30 metrics moved", not
    for a gate.
    """
    total = len(e_values)
    order = sorted(range(total), key=lambda place: -e_values[place])
    kept = max((k for k in range(1, total + 1) if e_values[order[k - 1]] >= total / (k * alpha)), default=0)
    rejected = {*order[:kept]}
    return [place in rejected for place in range(total)]
