"""Coverage tests: published vectors, empty cells, simulated size, overlapping cones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from fieldcast.evaluation import christoffersen, conditional_coverage, coverage, kupiec, transitions
from fieldcast.ground import InvalidInput, MissingData


# validation-science section 7
@pytest.mark.parametrize(
    ("misses", "n", "p", "statistic", "p_value"),
    [
        (7, 255, 0.01, 5.316, 0.021), (6, 255, 0.01, 3.415, 0.065), (20, 1000, 0.01, 7.827, 0.005),
        (0, 250, 0.01, 5.025, 0.025), (37, 510, 0.05, 4.821, 0.028),
    ],
)
def test_kupiec_equals_the_published_vectors(
    misses: int, n: int, p: float, statistic: float, p_value: float
) -> None:
    found = kupiec(misses, n, p)
    assert found.statistic == pytest.approx(statistic, abs=5e-4)
    assert found.p_value == pytest.approx(p_value, abs=5e-4)


@given(st.integers(1, 400), st.floats(0.01, 0.99), st.data())
def test_kupiec_is_the_likelihood_ratio_of_two_binomials(n: int, p: float, data: st.DataObject) -> None:
    misses = data.draw(st.integers(0, n))
    expected = 2 * (binom.logpmf(misses, n, misses / n) - binom.logpmf(misses, n, p))
    found = kupiec(misses, n, p)
    assert found.statistic == pytest.approx(expected, abs=1e-6)
    assert found.p_value == pytest.approx(chi2.sf(found.statistic, 1), abs=1e-12)


@pytest.mark.parametrize(("n", "p", "low", "high"), [(1000, 0.05, 38, 64), (1000, 0.10, 82, 119), (255, 0.01, 1, 6)])
def test_acceptance_bands_at_five_percent_equal_the_published_ones(n: int, p: float, low: int, high: int) -> None:
    accepted = [x for x in range(n // 4) if kupiec(x, n, p).p_value > 0.05]
    assert (accepted[0], accepted[-1]) == (low, high)


def test_christoffersen_equals_the_published_vector() -> None:
    found = christoffersen(900, 45, 45, 10)
    assert found.statistic == pytest.approx(11.980, abs=5e-4)
    assert found.p_value == pytest.approx(0.00054, abs=5e-6)


@pytest.mark.parametrize(
    "counts", [(250, 0, 0, 0), (0, 0, 0, 9), (90, 5, 5, 0), (0, 5, 5, 0), (0, 0, 4, 4), (3, 3, 0, 0)]
)
def test_empty_cells_give_finite_statistics(counts: tuple[int, int, int, int]) -> None:
    found = christoffersen(*counts)
    assert np.isfinite(found.statistic)
    assert found.statistic >= 0.0
    assert 0.0 <= found.p_value <= 1.0


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_transitions_count_every_neighbouring_pair(missed: list[bool]) -> None:
    pairs = list(pairwise(missed))
    expected = tuple(pairs.count(pair) for pair in ((False, False), (False, True), (True, False), (True, True)))
    assert transitions(np.array(missed)) == expected


def test_conditional_coverage_is_the_sum_with_two_degrees_of_freedom() -> None:
    missed = np.random.default_rng(0).random(300) < 0.1
    found = conditional_coverage(missed, 0.1)
    parts = kupiec(int(missed.sum()), 300, 0.1).statistic + christoffersen(*transitions(missed)).statistic
    assert found.statistic == pytest.approx(parts)
    assert found.p_value == pytest.approx(chi2.sf(parts, 2))


def test_an_honest_cone_is_rejected_about_five_times_in_a_hundred() -> None:
    rng = np.random.default_rng(11)
    n, edge = 1000, 0.6744898
    low, high = np.full(n, -edge), np.full(n, edge)
    results = [coverage(low, high, rng.normal(size=n), 0.5) for _ in range(300)]
    assert 0.02 <= np.mean([r.kupiec_p < 0.05 for r in results]) <= 0.09
    assert 0.02 <= np.mean([r.christoffersen_p < 0.05 for r in results]) <= 0.09      # type: ignore[operator]


def test_overlapping_cones_are_judged_on_rows_that_do_not_overlap() -> None:
    rng = np.random.default_rng(2)
    h, n, edge = 5, 1000, 0.6744898
    naive, ours = [], []
    for _ in range(200):
        sums = np.convolve(rng.normal(size=n + h - 1), np.ones(h), "valid") / h**0.5
        band = np.full(n, edge)
        naive.append(coverage(-band, band, sums, 0.5).kupiec_p < 0.05)
        ours.append(coverage(-band, band, sums, 0.5, horizon=h).kupiec_p < 0.05)
    assert np.mean(naive) > 0.2      # taken as independent, an honest cone is refused far too often
    assert np.mean(ours) <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_figures_of_a_small_cone_by_hand() -> None:
    found = coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.0, 1.0, 2.0, 0.5], 0.75)
    assert (found.n, found.covered, found.misses, found.rate) == (4, 3, 1, 0.75)
    assert found.kupiec_p == 1.0
    short = coverage([0, 0, 0], [1, 1, 1], [0.5, 0.5, 2.0], 0.75, horizon=2)
    assert short.christoffersen_p is None


def test_impossible_cones_are_refused() -> None:
    with pytest.raises(InvalidInput, match="crossed"):
        coverage([1.0], [0.0], [0.5], 0.9)
    with pytest.raises(InvalidInput, match="NaN"):
        coverage([0.0], [np.nan], [0.5], 0.9)
    with pytest.raises(MissingData):
        coverage([0.0], [1.0], [0.5], 0.9, horizon=2)
    with pytest.raises(InvalidInput):
        kupiec(3, 2, 0.1)
    with pytest.raises(InvalidInput):
        christoffersen(0, 0, 0, 0)
    with pytest.raises(InvalidInput, match="true and false"):
        transitions(np.array([0, 1, 0]))
