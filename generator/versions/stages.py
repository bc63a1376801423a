"""Where an experiment stands in its rollout, from what was deployed and when: nothing here reads a clock or a file.

All times are in seconds since 1970, all spans in seconds.
"""

from typing import Literal, NamedTuple

from generator.documents.wording import span
from generator.domain.model import Gate, Rollout, Step
from generator.versions.lives import Life, Period

Where = Literal["absent", "over", "fixed", "waiting", "stage", "bake", "back", "swapped", "off"]


class Standing(NamedTuple):
    """Where an experiment stands, and what the next step waits for.

    `where` is one of: absent (never deployed), over (deployed no more), fixed (no rollout is declared), waiting (all
    traffic is still control's), stage, bake (the last stage), back (rolled back to control), swapped (another variant
    has become control) and off (traffic is at no declared step). `stage` counts from 0; None between stages.

    The next step, `following`, may be taken from `opens_at` on, when the stage has been deployed for as long as it
    `needed`; then `gate` decides. Before the first step the gate is time; after a rollback and off the steps it is a
    person. `remaining` is what is left of maxDuration since the first traffic, less than 0 once that is over.
    """

    where: Where
    stage: int | None = None
    since: int | None = None
    soaked: int = 0
    needed: int = 0
    following: Step | None = None
    gate: Gate | None = None
    opens_at: int | None = None
    remaining: int | None = None

    @property
    def too_short(self) -> str:
        """Say that the stage has not lasted long enough."""
        return f"the stage has lasted {span(self.soaked)}, and is to last {span(self.needed)}"


def standing(life: Life | None, rollout: Rollout | None, now: int) -> Standing:
    """Say where an experiment stands at `now`, by its life on the deployed branch and the rollout that it declares."""
    if life is None:
        return Standing("absent")
    current = life.periods[-1]
    if current.end is not None:
        return Standing("over", since=current.end)
    since, soaked = current.start, max(0, now - current.start)
    if rollout is None or len(current.traffic) == 1:
        return Standing("fixed", since=since, soaked=soaked)
    where, stage, gate = _position(life, rollout, current)
    needed = 0
    if stage is not None and where in {"stage", "bake"}:
        needed = rollout.bake if where == "bake" else rollout.steps[stage].soak
    return Standing(
        where,
        stage,
        since,
        soaked,
        needed,
        _following(rollout, current) if where not in {"bake", "swapped"} else None,
        gate,
        since + needed,
        _remaining(life, rollout, now),
    )


def _position(life: Life, rollout: Rollout, current: Period) -> tuple[Where, int | None, Gate]:
    stage = next((number for number, step in enumerate(rollout.steps) if _is_at(current, step)), None)
    before = life.periods[-2] if len(life.periods) > 1 else None
    if before is not None and _names(before) == _names(current) and before.traffic[0][0] != current.traffic[0][0]:
        return "swapped", stage, "manual"
    if _is_at_rest(current) and before is not None and _is_alike(before, current) and not _is_at_rest(before):
        return "back", stage, "manual"
    if stage is not None:
        return "bake" if stage == len(rollout.steps) - 1 else "stage", stage, rollout.steps[stage].gate
    return ("waiting", None, "time") if _is_at_rest(current) else ("off", None, "manual")


def _following(rollout: Rollout, current: Period) -> Step | None:
    """Return the first step that gives candidates more than now: a larger share, or copies where there were none."""
    kept = current.traffic[0][1]
    return next(
        (
            step
            for step in rollout.steps
            if step.traffic[0][1] < kept or (step.traffic[0][1] == kept and step.shadow > current.shadow)
        ),
        None,
    )


def _remaining(life: Life, rollout: Rollout, now: int) -> int | None:
    """Return what is left of the longest duration, counted from the first traffic of these candidates."""
    if rollout.max_duration is None:
        return None
    first = None
    for period in reversed(life.periods):
        if not _is_alike(period, life.periods[-1]):
            break
        first = period.start if period.traffic[0][1] < 100 else first
    return None if first is None else first + rollout.max_duration - now


def _is_at(period: Period, step: Step) -> bool:
    return dict(period.traffic) == dict(step.traffic) and period.shadow == step.shadow


def _is_at_rest(period: Period) -> bool:
    """Tell whether all users get control, and the candidates not even copies."""
    return period.traffic[0][1] == 100 and not period.shadow


def _is_alike(one: Period, other: Period) -> bool:
    """Tell whether two periods have the same control and candidates."""
    return [name for name, _ in one.traffic] == [name for name, _ in other.traffic]


def _names(period: Period) -> set[str]:
    return {name for name, _ in period.traffic}
