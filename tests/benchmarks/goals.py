"""What Penstock promises about its speed, each promise a ratio of two runs of the same round."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from measure import Usage

    Rounds = dict[str, list[Usage]]

_HEAD = ("Experiments: what / what", "Goal", "Median", "Lowest to highest", "Met", "Absolute")


class Goal(NamedTuple):
    """`over` divided by `under`, which `least` and `most` bound; without either, for information only."""

    name: str
    claim: str
    over: str
    under: str
    least: float = 0
    most: float = 0
    of: Literal["wall", "peak"] = "wall"
    long: bool = False

    @property
    def wanted(self) -> str:
        """The goal in words."""
        if self.least:
            return f"at least {self.least:g}x"
        return f"at most {self.most:g}x" if self.most else ""

    def ratios(self, rounds: Rounds) -> list[float]:
        """Return the ratio of every round."""
        pairs = zip(rounds[self.over], rounds[self.under], strict=True)
        return [getattr(over, self.of) / getattr(under, self.of) for over, under in pairs]

    def met(self, ratio: float) -> str:
        """Say yes or no."""
        if not self.least and not self.most:
            return ""
        return "yes" if ratio >= self.least and (not self.most or ratio <= self.most) else "no"


def every(experiments: int, one_root: int) -> tuple[Goal, ...]:
    """Return all goals, in the order of the table. That of one root holds for all: time grows with the square."""
    n, ten_n, one_core = f"{experiments:,}", f"{10 * experiments:,}", "Penstock, one core"
    return (
        Goal("helm-1", f"{n}, one core: Helm / Penstock", "helm-1", "penstock-1", least=2),
        Goal("helm", f"{n}, two cores: Helm / Penstock", "helm", "penstock", least=3.5),
        Goal("helm-memory", f"{n}, one core: Penstock / Helm", "penstock-1", "helm-1", most=0.25, of="peak"),
        Goal("kustomize", f"{n}: kustomize, roots of 100 / {one_core}", "kustomize", "penstock-1", least=8),
        Goal(
            "kustomize-root",
            f"{one_root:,}: kustomize, one root / {one_core}",
            "kustomize-root",
            "penstock-root",
            least=50 if one_root == experiments else 0,
        ),
        Goal("naive", f"{n}: naive Python / {one_core}", "naive", "penstock-1", least=30),
        Goal("cp-1", f"{n}: {one_core} / `cp -r` of its output", "penstock-1", "cp", most=7),
        Goal("cp", f"{n}: Penstock, two cores / `cp -r` of its output", "penstock", "cp", most=4),
        Goal("unchanged", f"{n}, none changed / bare Python", "unchanged", "python", most=7),
        Goal("changed", f"{n}, one changed / cold run of 1", "changed", "cold", most=1.5),
        Goal("cold", "cold run of 1 / bare Python", "cold", "python", most=10),
        Goal("first", "very first run, of 1 / bare Python", "first", "python"),
        Goal("help", "`penstock --help` / bare Python", "help", "python", most=5),
        Goal("linear", f"{ten_n} / {n}", "penstock-10n", "penstock", most=10.5, long=True),
        Goal("memory", f"{ten_n} / cold run of 1", "penstock-10n", "cold", most=1.15, of="peak", long=True),
    )


def table(goals: Iterable[Goal], rounds: Rounds) -> str:
    """Write the goals that were measured as a Markdown table."""
    rows: list[tuple[str, ...]] = [_HEAD, ("---",) * len(_HEAD)]
    for goal in goals:
        ratios = goal.ratios(rounds)
        rows.append(
            (
                goal.claim,
                goal.wanted,
                _figure(median(ratios)),
                f"{_figure(min(ratios))} to {_figure(max(ratios))}",
                goal.met(median(ratios)),
                " / ".join(_amount(goal, rounds[tool]) for tool in (goal.over, goal.under)),
            )
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _figure(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


def _amount(goal: Goal, usages: list[Usage]) -> str:
    if goal.of == "peak":
        return f"{median(usage.peak for usage in usages) / (1 << 20):.0f} MiB"
    wall = median(usage.wall for usage in usages)
    return f"{wall:.2f} s" if wall >= 1 else f"{wall * 1000:.0f} ms"
