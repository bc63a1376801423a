"""Laws of the engine: what must hold for any counts."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.analysis import floor, mismatch
from generator.analysis.eprocess import Block, Evidence, prior_for
from generator.analysis.quantiles import anytime_band, bracket

PRIOR = prior_for(0.1)
RATES = (0.001, 0.02, 0.1, 0.3, 0.6, 0.9)


@st.composite
def blocks(draw: st.DrawFn) -> list[Block]:
    found = []
    for _ in range(draw(st.integers(1, 5))):
        n0, n1 = draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))
        found.append(Block(draw(st.integers(0, min(n0, 500))), n0, draw(st.integers(0, min(n1, 500))), n1))
    return found


def pmf(x: int, n: int, p: float) -> float:
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


@pytest.mark.parametrize(("n0", "n1"), [(9, 3), (20, 5), (12, 12)])
@pytest.mark.parametrize("theta0", [-0.5, 0.0, 0.3])
def test_an_e_value_is_one_on_average_at_most(n0: int, n1: int, theta0: float) -> None:
    """By full enumeration, at the null itself and further inside."""
    values = {
        (x0, x1): Evidence([Block(x0, n0, x1, n1)], PRIOR) for x0, x1 in itertools.product(range(n0 + 1), range(n1 + 1))
    }
    e_values = {
        pair: (math.exp(one.log_e_above(theta0)), math.exp(one.log_e_below(theta0))) for pair, one in values.items()
    }
    for p0, further in itertools.product(RATES, (0.0, 0.4)):
        for side, sign in ((0, -1), (1, 1)):
            p1 = p0 * math.exp(theta0 + sign * further)
            if p1 <= 1:
                mean = math.fsum(e[side] * pmf(x0, n0, p0) * pmf(x1, n1, p1) for (x0, x1), e in e_values.items())
                assert mean <= 1 + 1e-9


@pytest.mark.parametrize("f", [0.01, 0.1])
def test_a_floor_s_e_value_is_one_on_average_at_most(f: float) -> None:
    for p in (f, 1.2 * f, 3 * f):
        mean = math.fsum(math.exp(floor.log_e_below(x, 60, f)) * pmf(x, 60, p) for x in range(61))
        assert mean <= 1 + 1e-9


@pytest.mark.parametrize(
    ("events", "total", "f"),
    [(0, 4224, 0.001), (1, 7312, 0.001), (3, 12019, 0.001), (0, 421, 0.01), (1, 729, 0.01), (3, 1198, 0.01)],
)
def test_how_many_requests_a_floor_needs(events: int, total: int, f: float) -> None:
    assert floor.log_e_below(events, total, f) >= math.log(40) > floor.log_e_below(events, total - 1, f)


def test_a_split_s_e_value_is_one_on_average() -> None:
    n, weights = 12, [0.7, 0.2, 0.1]
    mean = 0.0
    for a, b in itertools.product(range(n + 1), repeat=2):
        if a + b <= n:
            counts = [a, b, n - a - b]
            ways = math.comb(n, a) * math.comb(n - a, b)
            chance = ways * math.prod(w**c for w, c in zip(weights, counts, strict=True))
            mean += chance * math.exp(mismatch.log_e_multinomial(counts, weights))
    assert mean == pytest.approx(1)


@given(blocks())
def test_swapping_the_variants_flips_the_sign(found: list[Block]) -> None:
    one = Evidence(found, PRIOR)
    other = Evidence([Block(b.x1, b.n1, b.x0, b.n0) for b in found], PRIOR)
    assert one.log_e_above(0.2) == pytest.approx(other.log_e_below(-0.2), abs=1e-6)
    upper, lower = one.upper(0.05), other.lower(0.05)
    assert (upper is None) == (lower is None)
    if upper is not None and lower is not None:
        assert upper == pytest.approx(-lower, abs=1e-6)


@given(blocks())
def test_twice_the_counts_narrow_the_bounds(found: list[Block]) -> None:
    one, two = Evidence(found, PRIOR), Evidence(found + found, PRIOR)
    lower, upper = one.lower(0.05), one.upper(0.05)
    if lower is not None:
        assert (two.lower(0.05) or 0.0) >= lower - 1e-6
    if upper is not None:
        assert (two.upper(0.05) or 0.0) <= upper + 1e-6


@given(blocks(), st.floats(-3, 3), st.floats(0, 2))
def test_evidence_is_monotone_in_the_null(found: list[Block], theta0: float, further: float) -> None:
    evidence = Evidence(found, PRIOR)
    assert evidence.log_e_above(theta0) >= evidence.log_e_above(theta0 + further) - 1e-7
    assert evidence.log_e_below(theta0) <= evidence.log_e_below(theta0 + further) + 1e-7


@given(blocks(), st.floats(1, 20))
def test_dispersion_widens_the_bounds(found: list[Block], phi: float) -> None:
    evidence = Evidence(found, PRIOR)
    plain, tempered = evidence.upper(0.05), evidence.tempered(phi).upper(0.05)
    assert tempered is None or (plain is not None and tempered >= plain - 1e-6)


@given(blocks(), st.floats(-2, 2))
def test_sums_are_those_of_the_blocks(found: list[Block], theta: float) -> None:
    """Bins, moments and interpolation change nothing that a direct sum does not round away."""

    def likelihood(at: float) -> float:
        total = 0.0
        for b in found:
            t = at + math.log(b.n1 / b.n0)
            total += b.x1 * t - (b.x0 + b.x1) * (max(t, 0) + math.log1p(math.exp(-abs(t))))
        return total

    gains = [math.log(weight) + likelihood(theta + u) - likelihood(theta) for u, weight in PRIOR]
    direct = max(gains) + math.log(math.fsum(math.exp(gain - max(gains)) for gain in gains))
    assert Evidence(found, PRIOR).log_e_above(theta) == pytest.approx(direct, abs=1e-5)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 9))
def test_splitting_a_block_with_equal_shares_changes_nothing(x0: int, x1: int, parts: int) -> None:
    whole = Evidence([Block(x0 * parts, 9_000 * parts, x1 * parts, 1_000 * parts)], PRIOR)
    split = Evidence([Block(x0, 9_000, x1, 1_000)] * parts, PRIOR)
    assert whole.log_e_above() == pytest.approx(split.log_e_above(), abs=1e-8)


def test_no_events_say_nothing() -> None:
    evidence = Evidence([Block(0, 1_000, 0, 1_000)], PRIOR)
    assert evidence.log_e_above() == evidence.log_e_below() == pytest.approx(0, abs=1e-12)
    assert evidence.estimate() is evidence.lower(0.05) is evidence.upper(0.05) is None


def test_five_of_five_errors_in_a_tenth_of_the_traffic() -> None:
    assert Evidence([Block(0, 9_000, 5, 1_000)], PRIOR).log_e_above() == pytest.approx(5.267, abs=5e-4)


@pytest.mark.parametrize("events", [1_000_000, 1_000_000_000])
def test_large_counts_do_not_overflow(events: int) -> None:
    evidence = Evidence([Block(events, 2 * events, round(1.01 * events), 2 * events)], PRIOR)
    lower, estimate, upper = evidence.lower(0.05), evidence.estimate(), evidence.upper(0.05)
    assert lower is not None
    assert upper is not None
    assert 0 < lower < math.log(1.01) < upper < 0.02
    assert estimate == pytest.approx(math.log(1.01), abs=1e-8)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.floats(0.01, 0.99), st.integers(200, 10**6))
def test_a_bracket_holds_the_quantile(counts: list[int], quantile: float, total: int) -> None:
    cumulative = [*itertools.accumulate(counts)]
    if cumulative[-1]:
        bounds = [float(n) for n in range(1, len(counts))] + [math.inf]
        low, high = bracket(bounds, cumulative, quantile, anytime_band(total))
        point = next(b for b, c in zip(bounds, cumulative, strict=True) if c / cumulative[-1] >= quantile)
        assert low < point <= high
