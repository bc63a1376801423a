"""Every source at work: what it exposes over ninety minutes, and all that is made of it, against what is known.

One Prometheus holds all rows: blocks made of what real exporters would have shown, and the rendered rules, which it
evaluates itself. All counters grow evenly, so that extrapolation is exact at any moment, whatever happened: a variant
has two pods (a gateway two replicas), the first of which is not scraped for a while, and the second restarts.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from exposures import EXPOSED, Counted, istio, kserve, line
from prometheus import (
    NAMESPACE,
    Document,
    Monitoring,
    Server,
    Vector,
    environment,
    experiment,
    instant,
    rendered,
    server,
    until,
    write,
)
from scrapes import backfill

from generator import names
from generator.domain import interpret
from generator.domain.sources import SOURCES
from generator.evidence import examine
from generator.evidence.prometheus import Client
from generator.versions.lives import Life, Period

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from generator.evidence.examine import Examination

pytestmark = pytest.mark.needs("prometheus", "promtool")

STEP, STEPS = 120, 46  # seconds between scrapes, and how many of them; rules and queries may come a step late
SHORT, LONG, RANGE = 300, 1800, 3600  # seconds of the rules' windows, and of the dashboard
UNSEEN = range(32, 35)  # steps at which the first pods, or the first gateway, are not scraped
RESTART = 36  # the step after which the second ones begin at 0

# What a pod counts between two scrapes. v2 is worse than v1 in everything, v3 better and without a failure, and what
# has no weight answers testers only.
PODS: dict[str, tuple[Counted, ...]] = {
    "v1": (Counted(360, 24, 72, 36, 180.0), Counted(240, 12, 48, 24, 120.0)),
    "v2": (Counted(240, 36, 96, 72, 240.0), Counted(120, 24, 48, 36, 120.0)),
    "v3": (Counted(120, 0, 12, 6, 30.0), Counted(120, 0, 12, 6, 30.0)),
    "idle": (Counted(12, 0, 0, 0, 3.0),),
}
ALL = {variant: Counted(*map(sum, zip(*pods, strict=True))) for variant, pods in PODS.items()}


class Split(NamedTuple):
    """An experiment on some of the variants, which share the traffic as `traffic` says, or do not (`broken`)."""

    traffic: dict[str, int]
    broken: bool = False


SPLITS = {
    "four": Split({"v1": 50, "v2": 30, "v3": 20, "idle": 0}),
    "two": Split({"v1": 50, "v2": 50}, broken=True),
}
ROWS = [(source, split) for source in SOURCES for split in SPLITS]


class Row(NamedTuple):
    """An experiment with every ready-made metric of a source, and what is rendered to watch it."""

    root: Path
    source: str
    split: Split
    watched: Monitoring

    @property
    def counted(self) -> dict[str, Counted]:
        """Return what is counted of each variant in a step; Envoy's testers do not go by the split's clusters."""
        hidden = {name for name, share in self.split.traffic.items() if not share and self.source == "envoy-gateway"}
        return {name: ALL[name] for name in self.split.traffic if name not in hidden}


class World(NamedTuple):
    """A Prometheus with all rows and asides; when the last scrape was, when all rules were evaluated, and to what."""

    running: Server
    end: int
    at: float
    rules: list[Document]
    rows: Mapping[tuple[str, str], Row]
    asides: Mapping[str, Row]

    def examined(self, row: Row, earlier: dict[str, int] | None = None) -> Examination:
        """Count as `penstock analyze` does, late enough that all scrapes count.

        Traffic was first split as `earlier` says, if it does, for an hour.
        """
        place = interpret.environment(str(row.root), "production")
        read = interpret.experiment(
            str(row.root), place.environment, place.document, row.watched.name, in_base=False
        ).experiment
        assert place.environment.prometheus
        client = Client(place.environment.prometheus, str(row.root), "here")
        begun, periods = self.end - (STEPS - 1) * STEP - 60, []
        if earlier:
            periods = [Period(tuple(earlier.items()), 0, begun, begun + 3600, "c", "a", "s")]
            begun += 3600
        traffic = tuple((one.name, one.traffic) for one in read.variants)
        life = Life("production", read.name, (*periods, Period(traffic, 0, begun, None, "c", "a", "s")), 1, (), ())
        return examine.examine(str(row.root), read, place.environment, life, self.end + 5 * STEP, client)


def documents(source: str, split: str) -> tuple[Document, Document]:
    """Return an environment, and an experiment with every ready-made metric of a source."""
    metrics: Document = {}
    for name, preset in SOURCES[source].presets.items():
        metrics[name] = {"role": "guardrail", "use": f"{source}/{name}", "margin": 0.2, "limit": 0.15}
        if preset.kind == "latencyShare":
            metrics[name] |= {"above": "1s", "limit": 0.25}
        if preset.kind == "mean":
            metrics[name]["limit"] = 0.75 * EXPOSED[source].factor
    document = experiment(f"{split}-{source}", SPLITS[split].traffic, metrics, source)
    document["spec"]["analysis"] = {"window": "10m", "settle": "2m"}
    if not EXPOSED[source].default:
        document["spec"]["requests"] = {"use": source}
    return environment(knative=SOURCES[source].knative, interval="75s"), document


def shown(step: int, pod: int) -> int | None:
    """Return how many steps' worth a pod has counted at a step, None where it is not scraped."""
    if pod == 0:
        return None if step in UNSEEN else step
    return step - RESTART if step > RESTART else step


def scraped(row: Row, end: int) -> Iterator[str]:
    """Write what Prometheus has of a row, in OpenMetrics' text format; weights are as the rules record them."""
    exposed = EXPOSED[row.source]
    exporters: list[tuple[int, dict[str, str], Mapping[str, Counted]]] = []
    for pod in range(2):
        variants = {name: PODS[name][pod] for name in row.split.traffic if len(PODS[name]) > pod}
        if exposed.gateway:
            silent = {name: Counted(0, 0, 0, 0, 0.0) for name in row.split.traffic}
            exporters.append((pod, {"namespace": "gateways", "pod": f"{row.watched.name}-{pod}"}, silent | variants))
            continue
        own = {"namespace": NAMESPACE, "experiment": row.watched.name}
        for name, one in variants.items():
            exporters.append((pod, own | {"variant": name, "pod": f"{name}-{pod}"}, {name: one}))
    for step in range(STEPS):
        at = end - (STEPS - 1 - step) * STEP
        for pod, labels, counts in exporters:
            number = shown(step, pod)
            if number is not None:
                counted = {name: one.times(number) for name, one in counts.items()}
                yield from (f"{labelled(one, labels)} {at}" for one in exposed.lines(row.watched, counted))
        for name, share in row.split.traffic.items():
            labels = {"namespace": NAMESPACE, "experiment": row.watched.name, "variant": name}
            yield f"{line(names.WEIGHT, share / 100, labels)} {at}"


def labelled(sample: str, labels: dict[str, str]) -> str:
    """Add the labels of its target to a sample."""
    name, _, rest = sample.partition("{")
    return f"{name}{{{','.join(f'{label}={chr(34)}{text}{chr(34)}' for label, text in labels.items())},{rest}"


# Beside the sources: what is told apart by users, what is counted at two places, and a bound that servers do not have

ANSWERS = {"metric": "answers_total"}
FAILURES = {"kind": "ratio", "role": "guardrail", "direction": "lower", "margin": 0.2}
ASIDES: dict[str, tuple[Document, Document]] = {
    "sticky": (
        {},
        {
            "requests": ANSWERS,
            "metrics": {"failures": FAILURES | {"events": ANSWERS | {"labels": {"status": "error"}}}},
            "analysis": {"assignment": "sticky", "bucketLabel": "bucket"},
        },
    ),
    "both-ends": (
        {"requests": {"use": "istio"}},
        {
            "requests": {"use": "kserve"},
            "metrics": {"errors": {"use": "kserve/errors", "role": "guardrail", "margin": 1}},
        },
    ),
    "unbounded": (
        {},
        {
            "requests": {"metric": "took_seconds_count"},
            "metrics": {
                "slow": {"kind": "latencyShare", "role": "guardrail", "margin": 0.2, "above": "250ms"}
                | {"histogram": {"metric": "took_seconds"}}
            },
        },
    ),
}
# Requests and failures between two scrapes, by bucket of users; in the last one nobody of v1 meets a failure.
BUCKETS = {"v1": ((60, 6), (40, 1), (20, 0)), "v2": ((10, 5), (70, 7), (30, 3))}
BOUNDS = {"v1": ("0.1", "0.25", "1.0", "+Inf"), "v2": ("0.1", "0.3", "1.0", "+Inf")}


def aside(root: Path, name: str) -> Row:
    monitoring, spec = ASIDES[name]
    split = SPLITS["two"]
    document = experiment(name, split.traffic, {})
    document["spec"] |= spec | {"analysis": {"window": "10m", "settle": "2m", **spec.get("analysis", {})}}
    return Row(root, "", split, rendered(root, environment(interval="75s", **monitoring), document))


def seen_aside(row: Row, name: str, end: int) -> Iterator[str]:
    """Write what Prometheus has of an aside, without pauses and restarts."""
    for step in range(STEPS):
        at = end - (STEPS - 1 - step) * STEP
        for variant in row.split.traffic:
            labels = {"namespace": NAMESPACE, "experiment": name, "variant": variant, "pod": f"{variant}-0"}
            samples: list[str] = []
            if name == "sticky":
                for bucket, (total, failed) in enumerate(BUCKETS[variant]):
                    one = {"bucket": f"{bucket:02x}"}
                    samples.append(line("answers_total", step * (total - failed), one | {"status": "ok"}))
                    samples.append(line("answers_total", step * failed, one | {"status": "error"}))
            elif name == "both-ends":
                samples += kserve(ALL[variant].times(step))
            else:
                samples += [line("took_seconds_bucket", 9 * step, {"le": bound}) for bound in BOUNDS[variant]]
                samples.append(line("took_seconds_count", 9 * step, {"a": "b"}))
            yield from (f"{labelled(one, labels)} {at}" for one in samples)
        if name == "both-ends":  # one request of twelve reaches no server
            gateway = {variant: _more(ALL[variant]).times(step) for variant in row.split.traffic}
            own = {"namespace": "gateways", "pod": "both-ends"}
            yield from (f"{labelled(one, own)} {at}" for one in istio(row.watched, gateway))


def _more(counted: Counted) -> Counted:
    return counted._replace(total=counted.total * 13 // 12, failed=counted.failed + counted.total // 12)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    rows = {}
    for source, split in ROWS:
        root = folder / f"{split}-{source}"
        rows[source, split] = Row(root, source, SPLITS[split], rendered(root, *documents(source, split)))
    asides = {name: aside(folder / name, name) for name in ASIDES}
    end = int(time.time())
    written = [text for row in rows.values() for text in scraped(row, end)]
    backfill(folder, [*written, *(text for name, row in asides.items() for text in seen_aside(row, name, end))])
    groups = [row.watched.group | {"interval": "2s"} for row in rows.values()]
    config = {
        "global": {"scrape_interval": "1h"},
        "rule_files": [write(folder / "rules.json", {"groups": groups})],
    }
    with server(folder, config) as running:
        for row in (*rows.values(), *asides.values()):
            place = row.root / "environments/production/environment.yaml"
            place.write_text(f'{place.read_text()}  "prometheus": {{"url": "http://{running.address}"}}\n')
        until(lambda: all(one["health"] == "ok" for one in running.rules()), "all rules were evaluated")
        yield World(running, end, time.time(), running.rules(), rows, asides)


# What is known


def truth(row: Row, metric: str) -> Vector:
    """Return the values of a metric, whatever the window."""
    preset, factor = SOURCES[row.source].presets[metric], EXPOSED[row.source].factor
    return {
        variant: factor * one.seconds / one.total if preset.kind == "mean" else events(row, metric, one) / one.total
        for variant, one in row.counted.items()
    }


def events(row: Row, metric: str, counted: Counted) -> int:
    """Return what a share is of."""
    if SOURCES[row.source].presets[metric].kind == "ratio":
        return counted.failed
    return counted.late if metric == "first-token" else counted.slow


def requests(row: Row, seconds: float) -> Vector:
    return {variant: one.total * seconds / STEP for variant, one in row.counted.items()}


@pytest.mark.parametrize(("source", "split"), ROWS)
def test_every_query_of_the_dashboard_tells_the_truth(source: str, split: str, world: World) -> None:
    row = world.rows[source, split]
    total = sum(requests(row, 1).values())
    declared = {variant: share / 100 for variant, share in row.split.traffic.items()}
    observed = {variant: number / total for variant, number in requests(row, 1).items()}
    wanted = {
        ("Scoreboard", "Declared"): declared,
        ("Scoreboard", "Observed"): observed,
        ("Scoreboard", "Requests"): requests(row, RANGE),
        ("Share of requests: declared and observed", "A"): observed,
        ("Share of requests: declared and observed", "B"): declared,
        ("Requests per second", "A"): requests(row, 1),
        ("Sample ratio mismatch", "A"): {"": mismatch(row)},
    }
    exposed = EXPOSED[source]
    for metric, preset in SOURCES[source].presets.items():
        unit = f"{exposed.factor} {'ms' if exposed.factor == 1000 else 's'}"
        kind = {"latencyShare": f"share above {unit}"}.get(preset.kind, preset.kind)
        wanted["Scoreboard", metric] = wanted[f"{metric} ({kind})", "A"] = truth(row, metric)
        wanted[f"{metric} ({kind})", "B"] = {"v1": 1.2 * truth(row, metric)["v1"]}
        if preset.kind == "latencyShare":
            buckets = exposed.first if metric == "first-token" else exposed.buckets
            wanted[f"{metric}: 95th percentile", "A"] = {
                variant: buckets.quantile(0.95, one.total - events(row, metric, one), events(row, metric, one))
                for variant, one in row.counted.items()
            }
    targets = {(one.panel, one.column or one.ref): instant(one.expr) for one in row.watched.targets}
    assert targets.keys() == wanted.keys()
    for key, expr in targets.items():
        found = {one.labels.get("variant", ""): one.value for one in world.running.query(expr, world.at)}
        assert found == pytest.approx(wanted[key], rel=1e-6, abs=1e-9), key


def mismatch(row: Row) -> float:
    """Return Pearson's statistic of the requests in half an hour."""
    served = {variant: share for variant, share in row.split.traffic.items() if share}
    counted = requests(row, LONG)
    total = sum(counted[variant] for variant in served)
    expected = {variant: total * share / 100 for variant, share in served.items()}
    return sum((counted[variant] - number) ** 2 / number for variant, number in expected.items())


@pytest.mark.parametrize(("source", "split"), ROWS)
def test_prometheus_records_the_truth(source: str, split: str, world: World) -> None:
    row = world.rows[source, split]
    served = {variant: share / 100 for variant, share in row.split.traffic.items() if share}
    half_an_hour = requests(row, LONG)
    total = sum(half_an_hour[variant] for variant in served)
    wanted: dict[tuple[str, str], Vector] = {
        (names.WEIGHT, ""): {variant: share / 100 for variant, share in row.split.traffic.items()},
        (names.REQUESTS, ""): half_an_hour,
        (names.EXPECTED, ""): {variant: total * share for variant, share in served.items()},
        (names.SRM, ""): {"": mismatch(row)},
    }
    for metric, preset in SOURCES[source].presets.items():
        wanted[names.SHORT, metric] = wanted[names.LONG, metric] = truth(row, metric)
        if preset.kind != "mean":
            wanted[names.EVENTS, metric] = {
                variant: events(row, metric, one) * LONG / STEP for variant, one in row.counted.items()
            }
    recorded = {(rule["record"], rule.get("labels", {}).get("metric", "")) for rule in row.watched.recordings}
    assert recorded == wanted.keys()
    own = {"experiment": row.watched.name, "namespace": NAMESPACE}
    for (name, metric), values in wanted.items():
        found = world.running.query(f'{name}{{experiment="{row.watched.name}",metric="{metric}"}}', world.at)
        assert all(one.labels.items() >= own.items() for one in found)
        assert {one.labels.get("variant", ""): one.value for one in found} == pytest.approx(values, abs=1e-9), name


@pytest.mark.parametrize(("source", "split"), ROWS)
def test_alerts_are_those_that_the_truth_calls_for(source: str, split: str, world: World) -> None:
    row = world.rows[source, split]
    worse = {
        (name, metric, "v2") for name in (names.ALERT_LIMIT, names.ALERT_CONTROL) for metric in SOURCES[source].presets
    }
    broken = {(names.ALERT_SRM, "", "")} if row.split.broken else set()
    alerts = [
        one for one in world.rules if one["type"] == "alerting" and one["labels"]["experiment"] == row.watched.name
    ]
    found = {
        (one["name"], alert["labels"].get("metric", ""), alert["labels"].get("variant", ""))
        for one in alerts
        for alert in one["alerts"]
    }
    assert found == worse | broken


@pytest.mark.parametrize(("source", "split"), ROWS)
def test_what_is_judged_is_counted_to_the_last_request(source: str, split: str, world: World) -> None:
    row = world.rows[source, split]
    examined = world.examined(row)
    assert (examined.quality.missing, examined.quality.invalid) == ((), ())
    assert len(examined.windows) == 9
    served = [variant for variant, share in row.split.traffic.items() if share]
    for window in examined.windows:
        counted = {variant: between(variant, window.start, window.end, world.end) for variant in served}
        assert window.requests == {variant: one.total for variant, one in counted.items()}
        for metric, preset in SOURCES[source].presets.items():
            if preset.kind == "mean":
                wanted = {name: (EXPOSED[source].factor * one.seconds, one.total) for name, one in counted.items()}
            else:
                wanted = {name: (events(row, metric, one), one.total) for name, one in counted.items()}
            assert window.events[metric] == wanted, metric
    assert set(examined.quality.resets) == set(served)


def between(variant: str, start: int, end: int, last: int) -> Counted:
    """Return what was scraped of a variant after `start` and until `end`."""
    found = []
    for pod, counted in enumerate(PODS[variant]):
        seen = [step for step in range(STEPS) if shown(step, pod) is not None]
        first, until_ = (
            max((step for step in seen if last - (STEPS - 1 - step) * STEP <= at), default=0) for at in (start, end)
        )
        found.append(counted.times(until_ - first))
    return Counted(*map(sum, zip(*found, strict=True)))


def test_an_idle_variant_moves_no_other_and_moved_ones_are_not_counted(world: World) -> None:
    """Of v1, idle, v2 and v3, Envoy numbers those with traffic."""
    row = world.rows["envoy-gateway", "four"]
    same = world.examined(row, {"v1": 40, "idle": 0, "v2": 40, "v3": 20})
    assert {window.stage for window in same.windows} == {0, 1}
    assert not same.quality.warnings
    moved = world.examined(row, {"v1": 40, "idle": 10, "v2": 30, "v3": 20})
    assert {window.stage for window in moved.windows} == {1}
    assert moved.quality.warnings == ("not counted: 6 windows of earlier stages, whose clusters Envoy has renumbered",)
    elsewhere = world.examined(world.rows["istio", "four"], {"v1": 40, "idle": 10, "v2": 30, "v3": 20})
    assert {window.stage for window in elsewhere.windows} == {0, 1}


def test_users_are_counted_by_their_bucket(world: World) -> None:
    examined = world.examined(world.asides["sticky"])
    assert (examined.quality.missing, examined.quality.invalid) == ((), ())
    assert len(examined.windows) == 9
    for window in examined.windows:
        assert window.buckets["failures"] == {
            variant: tuple((5 * failed, 5 * total) for total, failed in buckets) for variant, buckets in BUCKETS.items()
        }


def test_servers_are_compared_with_the_gateway(world: World) -> None:
    examined = world.examined(world.asides["both-ends"])
    assert examined.quality.gateway_gap == pytest.approx(1 / 12)
    assert examined.look
    gateway, servers = examined.look.gateway
    assert 12 * gateway == 13 * servers > 0


def test_a_bound_that_the_servers_lack_is_told_with_those_that_they_have(world: World) -> None:
    quality = world.examined(world.asides["unbounded"]).quality
    assert quality.missing == ("v2 slow",)
    assert quality.invalid == ("slow: 250ms is no bound of a bucket of v2 (there are 100ms, 1s)",)
