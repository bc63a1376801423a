"""Every PromQL expression. Dashboard, rules and analysis take theirs from here, so they cannot disagree.

All results are instant vectors with the label `variant`. Counters are rated before they are summed (a sum would hide
resets); a ratio keeps variants whose numerator does not exist yet (`or 0 * total`) and drops 0/0, which is NaN.
Everything stays within what Prometheus 2.42 and 3.x both understand.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from generator import kserve, names
from generator.domain.model import Environment, Experiment, Metric, Requests, Scope, Series, Variant
from generator.manifests import figures
from generator.manifests.figures import Figures

_Counter = tuple[str, tuple[str, ...]]

SHORT_WINDOW = "5m"
LONG_WINDOW = "30m"
# A change of weights must be older than the window and a scrape or two of settling before counts are judged.
SETTLED = "40m"

# Words that PromQL does not read as a metric (prometheus: promql/parser/generated_parser.y, metric_identifier).
_NO_METRICS = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"})

# Quantiles of chi-squared at 1 - 1e-5 for 1 to 15 degrees of freedom (scipy.stats.chi2.isf). The alert is evaluated
# over and over; at the customary 0.001 a sound split would be accused every few days.
_CHI2_CRITICAL = (
    19.511, 23.026, 25.902, 28.473, 30.856, 33.107, 35.258, 37.332, 39.341, 41.296, 43.206, 45.076, 46.912, 48.716,
    50.493,
)  # fmt: skip


class Raw(NamedTuple):
    """A selector of counters, and which value of which label names which variant."""

    selector: str
    label: str
    variants: tuple[tuple[str, str], ...]


class Counters(NamedTuple):
    """What a metric counts: `events`, or what is left of `total` without them if `inverted`, over `total`.

    `named` selects whatever there is under the names of `events`, with any labels that the metric asks for left out:
    where that exists and `events` do not, nothing of the kind has happened yet.
    """

    events: tuple[Raw, ...]
    total: tuple[Raw, ...]
    inverted: bool
    named: tuple[Raw, ...]


class Queries:
    """The expressions of one experiment in one environment."""

    def __init__(self, experiment: Experiment, environment: Environment, written: Figures | None = None) -> None:
        """`written` are the experiment's numbers, if they are not to be written as they are."""
        self.figures = written or figures.of(experiment)
        self._experiment = experiment
        self._environment = environment
        self._sums: dict[tuple[object, ...], str] = {}
        self.selector = f'namespace="{environment.namespace}",experiment="{experiment.name}"'

    def requests(self, function: str, window: str) -> str:
        """Requests per second (`rate`) or in the window (`increase`)."""
        counter = self._experiment.requests
        return self._counted(counter.series, counter.scope, function, window)

    def raw_requests(self, requests: Requests | None = None) -> tuple[Raw, ...]:
        """Select the counters of requests, the experiment's or others, to be counted sample by sample."""
        counter = requests or self._experiment.requests
        return self._selectors(counter.series, counter.scope)

    def existing(self, raw: Raw, seconds: int) -> str:
        """Return one series for each variant that had a sample in the last seconds, whatever its value."""
        return f"count by ({raw.label}) (count_over_time({raw.selector}[{seconds}s]))"

    def bounds(self, raw: Raw, seconds: int) -> str:
        """Return one series for each bound of a variant's buckets that had a sample in the last seconds."""
        return f"count by (le, {raw.label}) (count_over_time({raw.selector}[{seconds}s]))"

    def raw(self, metric: Metric) -> Counters:
        """Select what a metric counts, to be counted sample by sample."""
        if metric.histogram is None:
            named = tuple(series._replace(labels=()) for series in metric.events)
            return Counters(
                self._selectors(metric.events, metric.scope),
                self._selectors(metric.total, metric.scope),
                metric.inverted,
                self._selectors(named, metric.scope),
            )
        count = self._histogram(metric, "_count")
        if metric.kind == "mean":
            return Counters(self._histogram(metric, "_sum"), count, inverted=False, named=())
        within = self._histogram(metric, "_bucket", le_matcher(metric.bound or 0.0))
        return Counters(within, count, inverted=True, named=())

    def buckets(self, metric: Metric) -> tuple[Raw, ...]:
        """Select all buckets of a metric's histogram."""
        return self._histogram(metric, "_bucket")

    def _histogram(self, metric: Metric, suffix: str, *more: str) -> tuple[Raw, ...]:
        assert metric.histogram is not None  # noqa: S101 (the kind says so; only mypy does not know)
        matchers = (*_matchers(metric.histogram), *more)
        return self._raw(metric.histogram.metric + suffix, matchers, metric.scope, self._numbered)

    def _selectors(self, series: tuple[Series, ...], scope: Scope) -> tuple[Raw, ...]:
        every = self._numbered
        return tuple(raw for one in series for raw in self._raw(one.metric, _matchers(one), scope, every))

    @property
    def _numbered(self) -> tuple[Variant, ...]:
        """Return all variants in the order of the route's backends; it leaves idle ones out, so they come last."""
        return (*self._experiment.serving, *(one for one in self._experiment.variants if not one.traffic))

    def hold_for(self, traffic: Mapping[str, int]) -> bool:
        """Say whether what is counted sample by sample is the same variant's at a stage of this traffic.

        Envoy's clusters are numbered, so that a variant that is idle now, or was, moves those that come behind it.
        """
        experiment = self._experiment
        scopes = (experiment.requests.scope, *(metric.scope for metric in experiment.metrics))
        if all(scope.kind != "envoy" for scope in scopes):
            return True
        now = [one.name for one in self._numbered]
        then = sorted(traffic, key=lambda name: (not traffic[name], name != experiment.control.name, name))
        served = sum(share > 0 for share in traffic.values())
        return len(then) == len(now) and then[:served] == now[:served]

    def numerator(self, metric: Metric, function: str, window: str) -> str:
        """Return what is counted or summed: events, requests over the bound, or the sum of a mean."""
        total = self.denominator(metric, function, window)
        if metric.kind == "ratio":
            events = self._counted(metric.events, metric.scope, function, window)
            present = f"({events} or 0 * {total})"
            return f"clamp_min({total} - {present}, 0)" if metric.inverted else present
        if metric.kind == "mean":
            return self._part(metric, "_sum", function, window)
        within = self._part(metric, "_bucket", function, window, le_matcher(metric.bound or 0.0))
        return f"clamp_min({total} - {within}, 0)"

    def denominator(self, metric: Metric, function: str, window: str) -> str:
        """Return over what: the total of a ratio, or the count of a histogram."""
        if metric.kind == "ratio":
            return self._counted(metric.total, metric.scope, function, window)
        return self._part(metric, "_count", function, window)

    def value(self, metric: Metric, window: str) -> str:
        """Return the metric itself: a share, or a mean in the histogram's unit."""
        return f"{self.numerator(metric, 'rate', window)} / ({self.denominator(metric, 'rate', window)} > 0)"

    def tolerated(self, metric: Metric, window: str) -> str:
        """Return the worst value that the margin tolerates, which moves with control's: the only series, control's."""
        control = f'label_replace(vector(0), "variant", "{self._experiment.control.name}", "", "")'
        return f"{self.figures.metrics[metric.name].factor} * ({self.value(metric, window)} and on (variant) {control})"

    def distribution(self, metric: Metric, window: str) -> str:
        """Return the increase of each bucket by bound and variant: for the eye, as it is no whole number."""
        return self._part(metric, "_bucket", "increase", window, by="le, variant")

    def quantile(self, metric: Metric, quantile: float, window: str) -> str:
        """Return a quantile interpolated between bucket bounds: for the eye, never for a verdict."""
        buckets = self._part(metric, "_bucket", "rate", window, by="le, variant")
        return f"histogram_quantile({quantile:g}, {buckets})"

    def share(self, window: str) -> str:
        """Return the observed share of requests; copies for a shadow are none that anybody asked for."""
        counted = self.requests("increase", window)
        shadow = self._experiment.shadow
        if shadow:
            copies = f'label_replace(vector(0), "variant", "{shadow.variant}", "", "")'
            counted = f"({counted} unless on (variant) {copies})"
        return f"{counted} / on () group_left () (sum({counted}) > 0)"

    @property
    def weight(self) -> str:
        """Configured share of each variant, 0 to 1, as the rules record it."""
        return f"{names.WEIGHT}{{{self.selector}}}"

    def recorded(self, name: str, *matchers: str) -> str:
        """Return a recorded series of this experiment."""
        return f"{name}{{{','.join((self.selector, *matchers))}}}"

    def weight_changes(self) -> str:
        """Return samples where a weight changed; Grafana joins neighbours, and widens the window with its own step."""
        return f"max by (variant) (changes({self.weight}[$__rate_interval])) > 0"

    def expected(self) -> str:
        """Return the requests that each variant with traffic should have counted, if the split were as declared."""
        served = f"({self.weight} > 0)"
        total = f"sum by (namespace, experiment) ({self.recorded(names.REQUESTS)} and {served})"
        return f"{served} * on (namespace, experiment) group_left () {total}"

    def chi_squared(self) -> str:
        """Pearson's statistic of the observed against the expected counts.

        A variant without any series counts as zero requests: the worst mismatch must not vanish from the sum.
        """
        expected = self.recorded(names.EXPECTED)
        observed = f"({self.recorded(names.REQUESTS)} and {expected} or 0 * {expected})"
        return f"sum by (namespace, experiment) (({observed} - {expected}) ^ 2 / {expected})"

    @property
    def critical(self) -> float:
        """Chi-squared beyond which the split is broken, for as many variants as get traffic."""
        return _CHI2_CRITICAL[max(len(self._experiment.serving) - 2, 0)]

    def mismatch(self, minimum: int = 5) -> str:
        """Sample ratio mismatch within one stage: never across a change of weights, and only if counts suffice."""
        on = "on (namespace, experiment)"
        enough = f"(min by (namespace, experiment) ({self.recorded(names.EXPECTED)}) >= {minimum})"
        moved = f"(changes({self.weight}[{SETTLED}]) > 0 or {self.weight} unless {self.weight} offset {SETTLED})"
        return f"{self.recorded(names.SRM)} > {self.critical:g} and {on} {enough} unless {on} {moved}"

    def over_limit(self, metric: Metric) -> str:
        """Variants beyond the fixed limit in both windows, with enough requests."""
        sign, written = _worse(metric), self.figures.metrics[metric.name]
        both = " and ".join(f"{self._value(name, metric)} {sign} {written.limit}" for name in (names.SHORT, names.LONG))
        return f"{both} and on (variant) {self.recorded(names.REQUESTS)} >= {written.enough_at_limit}"

    def worse_than_control(self, metric: Metric) -> str:
        """Candidates worse than control by more than the margin in both windows, with enough requests in either arm."""
        windows = [self._against_control(name, metric) for name in (names.SHORT, names.LONG)]
        guarded = f"{windows[0]} and {windows[1]} and on (variant) {self._enough(metric)}"
        control = f"{self._enough(metric, self._control('='))}"
        guarded += f" and on (namespace, experiment) {control}"
        if metric.kind == "mean":
            return guarded
        # The arm with the event that hurts: rare events need some before a ratio of rates means anything.
        arm = "!=" if metric.direction == "lower" else "="
        seen = self.recorded(names.EVENTS, f'metric="{metric.name}"', self._control(arm))
        guarded += f" and on ({'variant' if arm == '!=' else 'namespace, experiment'}) {seen} >= 10"
        return f"{guarded} and on (variant) {self._beyond_chance(metric)}"

    def silent(self, minimum: int = 10) -> str:
        """Variants that count no request, though others count enough that they should; or all, if nothing is counted.

        Counters that all stand still are a night without requests. Where pods may sleep, so are counters that are gone.
        """
        requests = self.recorded(names.REQUESTS)
        missed = f"{self.recorded(names.EXPECTED)} >= {minimum} unless on (variant) ({requests} > 0)"
        unseen = f"{self.weight} > 0 unless on (namespace, experiment) {requests}"
        awake = all(variant.replicas.minimum for variant in self._experiment.serving)
        return f"{missed} or {unseen}" if awake else missed

    def missing(self, metric: Metric) -> str:
        """Variants that count requests, but have no value of the metric: no data is no good news."""
        counted = f"{self.recorded(names.REQUESTS)} > 0"
        return f"({counted}) unless on (variant) {self._value(names.LONG, metric)}"

    def _against_control(self, name: str, metric: Metric) -> str:
        candidate = self._value(name, metric, self._control("!="))
        control = self._value(name, metric, self._control("="))
        on = "on (namespace, experiment, metric) group_left ()"
        return f"{candidate} {_worse(metric)} {on} ({self.figures.metrics[metric.name].factor} * {control})"

    def _beyond_chance(self, metric: Metric) -> str:
        """Candidates whose distance from the margin is more than three standard errors, from Poisson counts of events.

        A rule is evaluated every half minute: of two equal arms with 1 % errors and 5,000 requests each in 30 minutes,
        the bare comparison would accuse one nine times a day; with three standard errors, never (simulated). For the
        eye of an alert, not for a verdict.
        """
        arms = [
            (self._value(names.LONG, metric, arm), self._value(names.EVENTS, metric, arm))
            for arm in (self._control("!="), self._control("="))
        ]
        candidate, control = [f"{value} ^ 2 / clamp_min({events}, 1)" for value, events in arms]
        written = self.figures.metrics[metric.name]
        on = "on (namespace, experiment, metric) group_left ()"
        distance = f"({arms[0][0]} - {on} ({written.factor} * {arms[1][0]})) ^ 2"
        return f"({distance} > 9 * ({candidate} + {on} ({written.factor_squared} * {control})))"

    def _value(self, name: str, metric: Metric, *matchers: str) -> str:
        return self.recorded(name, f'metric="{metric.name}"', *matchers)

    def _control(self, operator: str) -> str:
        return f'variant{operator}"{self._experiment.control.name}"'

    def _enough(self, metric: Metric, *matchers: str) -> str:
        return f"{self.recorded(names.REQUESTS, *matchers)} >= {self.figures.metrics[metric.name].enough}"

    def _part(
        self, metric: Metric, suffix: str, function: str, window: str, matcher: str = "", by: str = "variant"
    ) -> str:
        """Return one part of a histogram or summary."""
        assert metric.histogram is not None  # noqa: S101 (the kind says so; only mypy does not know)
        series = metric.histogram
        counters = ((series.metric + suffix, (*_matchers(series), *((matcher,) if matcher else ()))),)
        return self._sum(counters, metric.scope, function, window, by)

    def _counted(self, series: tuple[Series, ...], scope: Scope, function: str, window: str) -> str:
        counters = tuple((one.metric, _matchers(one)) for one in series)
        return self._sum(counters, scope, function, window, "variant")

    def _sum(self, counters: tuple[_Counter, ...], scope: Scope, function: str, window: str, by: str) -> str:
        """Sum counters by variant; remembered, since a ratio asks for its total again and again."""
        key = (counters, scope, function, window, by)
        if key not in self._sums:
            self._sums[key] = self._summed(counters, scope, function, window, by)
        return self._sums[key]

    def _summed(self, counters: tuple[_Counter, ...], scope: Scope, function: str, window: str, by: str) -> str:
        terms = [
            term
            for metric, matchers in counters
            for term in self._by_variant(metric, matchers, scope, function, window)
        ]
        if len(counters) > 1:
            # Counters of one server share their labels; a label of our own keeps `or` from dropping the second.
            terms = [f'label_replace({term}, "part", "{i}", "", "")' for i, term in enumerate(terms)]
        return f"sum by ({by}) ({' or '.join(terms)})"

    def _by_variant(
        self, metric: str, matchers: tuple[str, ...], scope: Scope, function: str, window: str
    ) -> list[str]:
        """Rated series with a `variant` label, however the exporter names the variant."""
        terms = []
        for raw in self._raw(metric, matchers, scope, self._experiment.serving):
            term = f"{function}({raw.selector}[{window}])"
            if raw.label == "variant":
                terms.append(term)
            elif scope.kind == "envoy":
                ((_, variant),) = raw.variants
                terms.append(f'label_replace({term}, "variant", "{variant}", "", "")')
            else:
                pattern = self._service(self._any) if scope.kind == "istio" else "(.*)"
                terms.append(f'label_replace({term}, "variant", "$1", "{raw.label}", "{pattern}")')
        return terms

    def _raw(
        self, metric: str, matchers: tuple[str, ...], scope: Scope, backends: tuple[Variant, ...]
    ) -> tuple[Raw, ...]:
        """Select the series of a metric that are of this experiment; `backends` are the route's, in order.

        Envoy's clusters are those of the split's own rule; requests of testers, who choose a variant by header, do not
        count. They are called httproute/<namespace>/<route>/rule/<i>/backend/<j> (envoyproxy/gateway:
        internal/ir/xds.go); the split is the last rule, behind one rule for each variant's header.
        """
        variants = [variant.name for variant in self._experiment.variants]
        own = tuple((one, one) for one in variants)
        if scope.kind == "variant":
            return (Raw(_selected(metric, self.selector, *matchers), "variant", own),)
        if scope.kind == "label":
            return (Raw(_selected(metric, f'{scope.label}=~"{"|".join(variants)}"', *matchers), scope.label, own),)
        if scope.kind == "istio":
            namespace = f'destination_service_namespace="{self._environment.namespace}"'
            service = f'destination_service_name=~"{self._service(self._any)}"'
            named = tuple((self._service(variant), variant) for variant in variants)
            return (Raw(_selected(metric, namespace, service, *matchers), "destination_service_name", named),)
        route = f"httproute/{self._environment.namespace}/{names.route(self._experiment.name)}"
        clusters = [f"{route}/rule/{len(variants)}/backend/{index}" for index in range(len(backends))]
        return tuple(
            Raw(
                _selected(metric, f'envoy_cluster_name="{cluster}"', *matchers),
                "envoy_cluster_name",
                ((cluster, variant.name),),
            )
            for cluster, variant in zip(clusters, backends, strict=True)
        )

    @property
    def _any(self) -> str:
        return f"({'|'.join(variant.name for variant in self._experiment.variants)})"

    def _service(self, variant: str) -> str:
        return kserve.service(names.isvc(self._experiment.name, variant))


def _selected(metric: str, *matchers: str) -> str:
    """Select the series of a metric, whatever it is called."""
    if metric.lower() in _NO_METRICS:
        return f'{{__name__="{metric}",{",".join(matchers)}}}'
    return f"{metric}{{{','.join(matchers)}}}"


def le_matcher(bound: float) -> str:
    """Match a bucket bound as Go writes it (`1`, `1.8e+06`), Envoy (`1800000`), Python and Prometheus 3 (`1.0`)."""
    text = figures.number(bound)
    if bound < 1e6 and bound != int(bound):
        return f"le={quoted(text)}"
    pattern = re.escape(text) + (r"(\.0)?" if bound == int(bound) else "")
    if bound >= 1e6:
        mantissa, exponent = f"{bound:.11e}".split("e")
        pattern += "|" + re.escape(f"{mantissa.rstrip('0').rstrip('.')}e{exponent}")
    return f"le=~{quoted(pattern)}"


def _worse(metric: Metric) -> str:
    return ">" if metric.direction == "lower" else "<"


@lru_cache(maxsize=1024)
def _matchers_of(labels: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    return tuple(_matcher(label, values) for label, values in labels)


def _matchers(series: Series) -> tuple[str, ...]:
    return _matchers_of(series.labels)


def _matcher(label: str, values: tuple[str, ...]) -> str:
    """Exact for one value; else alternatives in which only `*` is special: no pattern of a user's reaches RE2."""
    if len(values) == 1 and "*" not in values[0]:
        return f"{label}={quoted(values[0])}"
    pattern = "|".join(".*".join(re.escape(part) for part in value.split("*")) for value in values)
    return f"{label}=~{quoted(pattern)}"


def quoted(text: str) -> str:
    r"""Write a PromQL string literal: backslash, quote and line ends escaped (prometheus: strutil.Unquote)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
