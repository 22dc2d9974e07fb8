"""Price impact: Amihud by hand, Kyle's lambda against least squares."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import linregress, norm

from fieldcast.fields import build_field_table
from fieldcast.fields.liquidity import Signing, kyle_lambda
from fieldcast.ground import InvalidInput


def test_amihud_is_the_mean_price_move_for_a_billion_traded(bars: pl.DataFrame) -> None:
    table = build_field_table(bars)
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    impact = np.abs(np.diff(np.log(close))) / (close[1:] * volume[1:] / 1e9)
    assert table["liquidity.amihud"][20] == pytest.approx(impact[:20].mean())
    assert table["liquidity.amihud_ratio"][400] == pytest.approx(np.log(impact[380:400].mean() / impact[150:400].mean()))


def test_a_session_without_trading_has_no_impact_to_measure(bars: pl.DataFrame) -> None:
    halted = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 50).then(0.0).otherwise("volume"))
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    impact = np.abs(np.diff(np.log(close))) / (close[1:] * volume[1:] / 1e9)
    window = np.delete(impact[35:55], 14)  # rows 36 … 55 without row 50
    assert build_field_table(halted)["liquidity.amihud"][55] == pytest.approx(window.mean())


@pytest.mark.parametrize("signing", list(Signing))
def test_lambda_is_the_least_squares_slope_of_returns_on_signed_amounts(bars: pl.DataFrame, signing: Signing) -> None:
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    found = kyle_lambda(close, volume, 30, signing)
    returns = np.diff(np.log(close))
    for row in (30, 200, 899):
        window = returns[row - 30 : row]
        side = np.sign(window) if signing is Signing.TICK else 2 * norm.cdf(window / window.std()) - 1
        amounts = side * close[row - 29 : row + 1] * volume[row - 29 : row + 1] / 1e9
        slope = linregress(amounts, window).slope
        assert found["lambda"][row] == pytest.approx(slope, rel=1e-10)
        assert found["impact"][row] == pytest.approx(slope * np.abs(amounts).mean() / window.std(), rel=1e-10)
    assert np.isnan(found["lambda"][:30]).all()


def test_lambda_finds_the_impact_that_was_put_in() -> None:
    """Prices that move by 0.02 per 1e9 of net buying, and nothing else."""
    random = np.random.default_rng(4)
    amounts = random.choice([-1.0, 1.0], 400) * random.uniform(0.1, 2.0, 400)
    close = 50 * np.exp(np.concatenate(([0.0], np.cumsum(0.02 * amounts))))
    volume = np.concatenate(([1.0], np.abs(amounts))) * 1e9 / close
    found = kyle_lambda(close, volume)
    np.testing.assert_allclose(found["lambda"][60:], 0.02, rtol=1e-9)


def test_no_slope_where_nothing_moved_or_nothing_was_traded() -> None:
    flat = kyle_lambda(np.full(80, 10.0), np.ones(80))
    idle = kyle_lambda(10 + np.arange(80.0), np.zeros(80))
    assert np.isnan(flat["lambda"]).all()
    assert np.isnan(idle["lambda"]).all()
    with pytest.raises(InvalidInput, match="at least 3"):
        kyle_lambda(np.ones(5), np.ones(5), 2)
