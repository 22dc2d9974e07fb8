"""Block lengths against arch, long-run variances against statsmodels, uniqueness of labels against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from fieldcast.evaluation import effective_labels, effective_observations, long_run_variance, optimal_block
from fieldcast.evaluation.dependence import block_for, date_means
from fieldcast.ground import InvalidInput, MissingData


@pytest.mark.parametrize("n", [30, 100, 1000])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.95])
def test_the_automatic_block_is_that_of_arch(n: int, rho: float) -> None:
    from arch.bootstrap import optimal_block_length

    values = lfilter([1.0], [1.0, -rho], np.random.default_rng([n, int(10 * rho + 10)]).normal(size=n))
    theirs = float(optimal_block_length(values)["stationary"].iloc[0])
    assert optimal_block(values) == pytest.approx(max(theirs, 1.0), rel=1e-9)


def test_the_longest_block_of_several_columns() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.normal(size=800), lfilter([1.0], [1.0, -0.9], rng.normal(size=800))])
    assert optimal_block(columns) == optimal_block(columns[:, 1]) > optimal_block(columns[:, 0])
    assert block_for(columns, None, 200) == 200.0
    assert block_for(columns, 30, 5) == 30.0
    with pytest.raises(InvalidInput, match="at least the horizon"):
        block_for(columns, 4, 5)


def test_a_series_that_does_not_vary_has_blocks_of_one() -> None:
    assert optimal_block(np.full(50, 3.0)) == 1.0
    assert effective_observations(np.full(50, 3.0)) == 50.0
    with pytest.raises(MissingData, match="at least 8"):
        optimal_block(np.arange(7.0))


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.6])
def test_long_run_variance_of_an_autoregression(rho: float) -> None:
    rng = np.random.default_rng(3)
    found = [long_run_variance(lfilter([1.0], [1.0, -rho], rng.normal(size=4100))[100:]) for _ in range(30)]
    assert np.mean(found) == pytest.approx(1.0 / (1.0 - rho) ** 2, rel=0.06)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 10_000))
def test_uniqueness_of_labels_counted_one_by_one(n: int, longest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 40, n)) * np.timedelta64(1, "h")
    ended = made + rng.integers(1, 40 * longest, n) * np.timedelta64(1, "h")
    ended[rng.random(n) < 0.1] = np.datetime64("NaT")
    spans = []
    for i in range(n):
        if not np.isnat(ended[i]):
            last = next((j for j in range(i + 1, n) if made[j] >= ended[i]), n)
            spans.append(set(range(i + 1, max(last, i + 1) + 1)))
    total = sum(sum(1 / sum(t in other for other in spans) for t in span) / len(span) for span in spans)
    assert effective_labels(made, ended) == pytest.approx(total, abs=1e-9)
    assert total <= len(spans) + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 10_000))
def test_date_rows_have_the_mean_of_the_panel(n: int, dates: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    position = np.unique(rng.integers(0, dates, n), return_inverse=True)[1]
    values = rng.normal(size=(n, 2))
    series = date_means(values, position, position.max() + 1)
    np.testing.assert_allclose(series.mean(axis=0), values.mean(axis=0), atol=1e-12)
    if np.ptp(np.bincount(position)) == 0:
        mine = np.array([values[position == d].mean(axis=0) for d in range(position.max() + 1)])
        np.testing.assert_allclose(series, mine, atol=1e-12)
