"""Realised volatility and its place in its own past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from fieldcast.fields.regime import own_rank, realised_volatility


def test_realised_volatility_is_the_standard_deviation_of_log_returns_in_percent() -> None:
    close = np.exp(np.random.default_rng(1).normal(0, 0.01, 60).cumsum())
    found = realised_volatility(close)
    assert np.isnan(found[:20]).all()
    for t in (20, 37, 59):
        returns = [np.log(close[i] / close[i - 1]) for i in range(t - 19, t + 1)]
        assert found[t] == pytest.approx(100 * np.std(returns), rel=1e-12)


@given(st.lists(st.integers(0, 6), min_size=30, max_size=80))
def test_the_rank_is_the_mid_rank_among_the_window(values: list[int]) -> None:
    found = own_rank(np.array(values, dtype=float), history=20)
    for t in range(19, len(values)):
        window = values[t - 19 : t + 1]
        if len(set(window)) == 1:
            assert np.isnan(found[t])
        else:
            assert found[t] == pytest.approx((rankdata(window)[-1] - 1) / 19)


def test_the_rank_is_unknown_while_the_window_holds_an_unknown() -> None:
    values = np.arange(40, dtype=float)
    values[5] = np.nan
    found = own_rank(values, history=10)
    assert np.isnan(found[9:15]).all()
    assert (found[15:] == 1.0).all()
