"""V15: Cross-sectional research: rank IC with decay, quantile portfolios, neutralisation, turnover, capacity.

Done when: "Figures equal an independent pandas calculation on a 50-asset panel, and a planted factor of IC 0.03 is recovered
within its interval"
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

from fieldcast.evaluation.cross_section import (
    Panel,
    capacity,
    decay,
    forward_returns,
    neutralise,
    quantile_portfolios,
    rank_ic,
)
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.workflows import research

pytestmark = pytest.mark.feature("V15")
OPEN_PARTS: tuple[str, ...] = ()

T, N, IC = 400, 50, 0.03


def panel(seed: int = 0, dates: int = T, *, holes: bool = True, rho: float = 0.2) -> Panel:
    """Fifty simulated assets whose returns from t + 1 to t + 2 know something of the factor at t; some values are missing."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((dates, N))
    r = 0.02 * rng.standard_normal((dates, N))
    r[2:] = 0.02 * (rho * factor[:-2] + math.sqrt(1 - rho**2) * rng.standard_normal((dates - 2, N)))
    price = 50 * np.exp(np.cumsum(np.log1p(np.clip(r, -0.5, 0.5)), axis=0))
    volume = 1e7 * np.exp(0.5 * rng.standard_normal((dates, N)))
    if holes:
        factor[rng.random(factor.shape) < 0.05] = np.nan
        factor[:, 3] = np.round(factor[:, 3])  # ties within dates
        factor[:, 4] = np.round(factor[:, 3])
        price[:60, 7] = np.nan  # listed later
        price[250:, 8] = np.nan  # ends
        factor[np.isnan(price)] = np.nan
        volume[rng.random(volume.shape) < 0.02] = np.nan
        factor[100, 5:] = np.nan  # a date with too few instruments
    days = np.datetime64("2015-01-01") + np.arange(dates)
    return Panel(days, tuple(f"A{i:02d}" for i in range(N)), price, factor, volume)


@pytest.fixture(scope="module")
def made() -> Panel:
    return panel()


def frames(made: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (pd.DataFrame(table, index=made.dates, columns=made.names) for table in (made.price, made.factor))  # type: ignore[return-value]


@pytest.mark.parametrize("horizon", [1, 2, 5, 21])
def test_the_rank_ic_and_its_decay_are_those_of_pandas(made: Panel, horizon: int) -> None:
    price, factor = frames(made)
    forward = price.shift(-1 - horizon) / price.shift(-1) - 1
    pd.testing.assert_frame_equal(pd.DataFrame(forward_returns(made, horizon), made.dates, list(made.names)), forward)
    expected = {}
    for day in made.dates:
        both = pd.concat([factor.loc[day], forward.loc[day]], axis=1).dropna()
        expected[day] = both.corr(method="spearman").iloc[0, 1] if len(both) >= 10 else np.nan
    series = pd.Series(expected)
    np.testing.assert_allclose(rank_ic(made.factor, forward_returns(made, horizon))[0], series.to_numpy(), atol=1e-12)
    (found,) = decay(made, (horizon,))
    assert found.mean.estimate == pytest.approx(series.mean(), abs=1e-12)
    assert found.deviation == pytest.approx(series.std(), abs=1e-12)
    assert found.mean.n == series.notna().sum()


def test_quantile_portfolios_and_turnover_are_those_of_pandas(made: Panel) -> None:
    price, factor = frames(made)
    forward = price.shift(-2) / price.shift(-1) - 1
    count = factor.notna().sum(axis=1)
    place = np.floor(5 * (factor.rank(axis=1).sub(0.5)).div(count, axis=0)).where(count >= 10, axis=0)
    found = quantile_portfolios(made, 5)
    for q in range(5):
        mean = forward.where(place == q).mean(axis=1)
        np.testing.assert_allclose(found.returns[:, q], mean.to_numpy(), atol=1e-14)
        assert found.mean[q].estimate == pytest.approx(mean.mean(), abs=1e-14)
    spread = forward.where(place == 4).mean(axis=1) - forward.where(place == 0).mean(axis=1)
    assert found.spread.estimate == pytest.approx(spread.mean(), abs=1e-14)
    weights = (place == 4).astype(float).div((place == 4).sum(axis=1).clip(lower=1), axis=0)
    weights -= (place == 0).astype(float).div((place == 0).sum(axis=1).clip(lower=1), axis=0)
    np.testing.assert_allclose(found.weights, weights.to_numpy(), atol=1e-15)
    turnover = (weights.diff().abs().sum(axis=1) / 2).where(place.notna().any(axis=1))
    turnover.iloc[0] = np.nan
    np.testing.assert_allclose(found.turnover, turnover.to_numpy(), atol=1e-14)
    assert found.mean_turnover.estimate == pytest.approx(turnover.mean(), abs=1e-14)


def test_capacity_is_that_of_pandas(made: Panel) -> None:
    weights = pd.DataFrame(quantile_portfolios(made, 5).weights)
    volume = pd.DataFrame(made.dollar_volume).rolling(21, min_periods=1).mean()
    trades = weights.diff().abs()
    carried = (0.01 * volume / trades).where(trades > 1e-12)
    unknown = (volume.isna() & (trades > 1e-12)).any(axis=1)
    least = carried.min(axis=1).where(~unknown).iloc[1:].dropna()
    found = capacity(made, weights.to_numpy(), share=0.01)
    assert found.median == pytest.approx(least.median(), rel=1e-9)
    assert found.low == pytest.approx(least.quantile(0.1), rel=1e-9)
    assert found.dates == len(least)


def test_neutralisation_is_the_residual_of_a_regression_on_every_date(made: Panel) -> None:
    rng = np.random.default_rng(1)
    groups, size = np.arange(N) % 5, rng.standard_normal((T, N))
    found = neutralise(made.factor, groups=groups, exposures=(size,))
    for t in (0, 50, 100, 260, 399):
        known = np.isfinite(made.factor[t])
        rank = pd.Series(made.factor[t, known]).rank()
        score = norm.ppf((rank - 0.5) / known.sum())
        design = pd.get_dummies(pd.Series(groups[known])).astype(float).assign(size=size[t, known]).to_numpy()
        expected = score - LinearRegression(fit_intercept=False).fit(design, score).predict(design)
        np.testing.assert_allclose(found[t, known], expected, atol=1e-9)
        assert np.isnan(found[t, ~known]).all()
    whole = pd.DataFrame(found[50]).groupby(groups).mean()
    np.testing.assert_allclose(whole.to_numpy(), 0.0, atol=1e-9)


def test_a_planted_factor_of_ic_003_is_recovered_within_its_interval() -> None:
    """Spearman of a bivariate normal is 6/π asin(ρ/2): ρ for an IC of 0.03. Fifty simulated assets, 2,000 dates, twelve seeds."""
    rho = 2 * math.sin(math.pi * IC / 6)
    inside = above = 0
    for seed in range(12):
        (found,) = decay(panel(seed, 2000, holes=False, rho=rho), (1,), draws=400)
        inside += found.mean.low <= IC <= found.mean.high
        above += found.mean.low > 0
    assert inside >= 10
    assert above == 12
    (later,) = decay(panel(0, 2000, holes=False, rho=rho), (21,), draws=400)
    assert later.mean.estimate < IC / 2  # one session's knowledge among twenty-one


def test_an_instrument_that_ends_is_told_and_its_last_return_counts_where_it_is_known(made: Panel) -> None:
    assert made.ended == ("A08",)
    lost = np.full(N, np.nan)
    lost[8] = -1.0
    known = Panel(made.dates, made.names, made.price, made.factor, None, lost)
    at = forward_returns(known, 5)[:, 8]
    assert np.isnan(forward_returns(made, 5)[244:249, 8]).all()
    np.testing.assert_array_equal(at[244:249], -1.0)
    assert np.isnan(at[249:]).all()
    np.testing.assert_array_equal(at[:244], forward_returns(made, 5)[:244, 8])


def test_the_future_of_prices_moves_no_weight(made: Panel) -> None:
    cut = Panel(made.dates[:300], made.names, made.price[:300], made.factor[:300], made.dollar_volume[:300])  # type: ignore[index]
    np.testing.assert_array_equal(quantile_portfolios(cut).weights, quantile_portfolios(made).weights[:300])


# the verb ---------------------------------------------------------------------------------------------------------------


def long_table(made: Panel) -> pl.DataFrame:
    rows = [
        {"date": day.astype(object), "instrument": name, "close": made.price[t, i], "factor": made.factor[t, i],
         "volume": made.dollar_volume[t, i] / made.price[t, i], "sector": f"s{i % 5}"}  # type: ignore[index]
        for t, day in enumerate(made.dates) for i, name in enumerate(made.names) if np.isfinite(made.price[t, i])
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(pl.col("factor").fill_nan(None), pl.col("volume").fill_nan(None))


def test_the_verb_gives_the_same_figures_from_a_file_and_draws_them(made: Panel, tmp_path: Path) -> None:
    table = long_table(made).sample(fraction=1.0, shuffle=True, seed=0)
    table.write_parquet(tmp_path / "panel.parquet")
    found = research("factor", panel=tmp_path / "panel.parquet", horizons=(1, 5), simulated=True, plot=tmp_path / "page.html")
    assert [one.horizon for one in found.decay] == [1, 5]
    np.testing.assert_array_equal(found.decay[0].series, decay(made, (1,))[0].series)
    assert found.traded_at == "close"
    assert found.ended == ("A08",)
    assert found.thin_dates == 1
    assert found.capacity is not None
    page = (tmp_path / "page.html").read_text()
    assert page.count("SIMULATED") >= 2
    assert "quantile 5" in page
    plain = found.as_dict()
    assert plain["rank_ic"][0]["estimate"] == found.decay[0].mean.estimate
    neutral = research("factor", panel=table, horizons=(1,), group="sector", exposures=("close",))
    assert neutral.neutral_to == ("sector", "close")
    assert neutral.decay[0].mean.estimate != found.decay[0].mean.estimate


def test_what_is_wrong_with_a_panel_is_named(made: Panel) -> None:
    table = long_table(made)
    with pytest.raises(InvalidInput, match="missing momentum"):
        research("momentum", panel=table)
    with pytest.raises(InvalidInput, match="once a date"):
        research("factor", panel=pl.concat([table, table]))
    with pytest.raises(InvalidInput, match="either"):
        research("factor")
    with pytest.raises(MissingData, match="at least 42 dates"):
        research("factor", panel=table.head(1500))
    with pytest.raises(InvalidInput, match="above 0"):
        research("factor", panel=table.with_columns(pl.col("close") * -1))
