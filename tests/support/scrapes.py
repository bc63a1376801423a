"""Simulated pods with a log of every request, and what Prometheus would have scraped from them, for backfilling."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from prometheus import NAMESPACE, promtool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INTERVAL = 30


class Pod(NamedTuple):
    """A pod of a variant, which counts from `born` until it dies, and from 0 again at each time in `restarts`."""

    name: str
    variant: str
    rate: float
    born: int
    died: int
    errors: float = 0.01
    clicks: float = 0.1
    restarts: tuple[int, ...] = ()
    created: bool = True  # whether counters exist before the first event


class Seen(NamedTuple):
    """Requests, errors and clicks of a variant, by when a scrape first counted them."""

    variant: str
    at: int
    events: tuple[int, int, int]


class World(NamedTuple):
    """What happened, as far as a scrape could see it; how many requests none saw, by variant; and the scrapes."""

    seen: list[Seen]
    lost: dict[str, int]
    text: list[str]

    def counted(self, variant: str, start: float, end: float) -> tuple[int, int, int]:
        """Count requests, errors and clicks of a variant that were scraped after `start` and up to `end`."""
        found = [one.events for one in self.seen if one.variant == variant and start < one.at <= end]
        requests, errors, clicks = map(sum, zip(*found, strict=True)) if found else (0, 0, 0)
        return requests, errors, clicks


def simulate(
    pods: Iterable[Pod],
    experiment: str,
    share: Callable[[str, int], float] = lambda _variant, _at: 1.0,
    blind: tuple[int, int] = (0, 0),
    interval: int = INTERVAL,
) -> World:
    """Let pods serve; `share` scales a variant's rate in time, and nothing is scraped between the times of `blind`."""
    seen: list[Seen] = []
    lost: dict[str, int] = {}
    text: list[str] = []
    for index, pod in enumerate(pods):
        draw = random.Random(pod.name)  # noqa: S311 (a simulation, the same each time)
        counts, unseen, owed = [0, 0, 0], [0, 0, 0], 0.0
        for at in range(pod.born, pod.died):
            if at in pod.restarts:
                lost[pod.variant] = lost.get(pod.variant, 0) + unseen[0]
                counts, unseen = [0, 0, 0], [0, 0, 0]
            owed += pod.rate * share(pod.variant, at)
            number, owed = int(owed), owed - int(owed)
            for _ in range(number):
                events = (1, draw.random() < pod.errors, draw.random() < pod.clicks)
                counts = [before + more for before, more in zip(counts, events, strict=True)]
                unseen = [before + more for before, more in zip(unseen, events, strict=True)]
            if at % interval == 7 * index % interval and not blind[0] <= at < blind[1]:
                text += _scrape(pod, experiment, counts, at)
                seen.append(Seen(pod.variant, at, (unseen[0], unseen[1], unseen[2])))
                unseen = [0, 0, 0]
        lost[pod.variant] = lost.get(pod.variant, 0) + unseen[0]
    return World(seen, lost, text)


def _scrape(pod: Pod, experiment: str, counts: list[int], at: int) -> list[str]:
    labels = f'namespace="{NAMESPACE}",experiment="{experiment}",variant="{pod.variant}",pod="{pod.name}"'
    named = zip(("shop_requests_total", "shop_errors_total", "shop_clicks_total"), counts, strict=True)
    return [f"{name}{{{labels}}} {count} {at}" for name, count in named if count or pod.created]


def backfill(folder: Path, text: list[str]) -> None:
    """Write what was scraped as blocks of Prometheus' database below `folder`/data."""
    (folder / "scraped.txt").write_text("\n".join([*text, "# EOF", ""]), encoding="utf-8")
    promtool("tsdb", "create-blocks-from", "openmetrics", "scraped.txt", "data", folder=folder)
