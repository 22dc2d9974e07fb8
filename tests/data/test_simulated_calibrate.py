"""Calibration: parameters come back from their own simulated series, and a fitted market looks like the real one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.data.simulated import (
    SESSION,
    BarMarket,
    Facts,
    PriceProcess,
    calibrate,
    crypto,
    equity,
    fx,
    simulate_bars,
    stylised_facts,
)
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, Kind

SEEDS = range(5)
CASES = {
    "equity minutes": (equity("A"), "1m", date(2023, 1, 1), date(2023, 12, 31), SESSION),
    "crypto minutes": (crypto("A"), "1m", date(2023, 1, 1), date(2023, 3, 31), "UTC"),
    "currency 5 minutes": (fx("A"), "5m", date(2023, 1, 1), date(2023, 12, 31), "Europe/London"),
    "equity days": (
        replace(equity("A"), process=PriceProcess(0.2, leverage=-0.6, gap_share=0.25, jumps_per_session=0.03, jump_size=2.5,
                slow_volatility_sd=0.35, slow_half_life=60.0, fast_volatility_sd=0.3, fast_half_life=4.0)),
        "1d", date(1979, 1, 1), date(2018, 12, 31), SESSION,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def round_trip(request):
    """The true instrument, and what `calibrate` makes of its history in each of five worlds."""
    item, interval, first, last, clock = CASES[request.param]
    found = []
    for seed in SEEDS:
        (made,) = simulate_bars(BarMarket(seed, (item,), first, last, interval))
        fitted = calibrate(made.bars, name="B", kind=item.kind, interval=interval, clock=clock, tick=item.tick)
        realised = stylised_facts(made.bars, made.instrument.calendar, interval, clock=clock, bins=13)
        found.append((fitted, realised))
    return request.param, item, found


@pytest.mark.slow
def test_parameters_come_back_from_their_own_simulated_series(round_trip):
    """Medians over five worlds. What 250 sessions cannot tell (half-life of a slow part) has a wide tolerance, and says so."""
    name, item, found = round_trip
    true = item.process

    def median(get):
        return float(np.median([get(fitted.instrument.process) for fitted, _ in found]))

    for fitted, realised in found:      # the volatility of a world is its own: exact against the series, not the parameter
        assert fitted.instrument.process.annual_volatility == pytest.approx(realised.annual_volatility, rel=1e-9)
        assert fitted.instrument.process.gap_share == pytest.approx(realised.gap_share, rel=1e-6, abs=1e-6)
    mean_square = math.sqrt(np.mean([fitted.instrument.process.annual_volatility**2 for fitted, _ in found]))
    assert mean_square == pytest.approx(true.annual_volatility, rel=0.3)        # of five worlds of a year or less
    assert median(lambda p: p.gap_share) == pytest.approx(true.gap_share, abs=0.03)
    assert median(lambda p: p.leverage) == pytest.approx(true.leverage, abs=0.12)
    assert median(lambda p: p.fast_volatility_sd) == pytest.approx(true.fast_volatility_sd, rel=0.25)
    assert 0.5 < median(lambda p: p.fast_half_life) / true.fast_half_life < 2
    assert median(lambda p: p.slow_volatility_sd) == pytest.approx(true.slow_volatility_sd, rel=0.45)
    assert 0.2 < median(lambda p: p.slow_half_life) / true.slow_half_life < 4
    total = math.sqrt(true.log_volatility_variance)
    assert median(lambda p: math.sqrt(p.log_volatility_variance)) == pytest.approx(total, rel=0.2)
    assert median(lambda p: p.jump_share) == pytest.approx(true.jump_share, abs=0.12)
    for fitted, _ in found:             # tails as observed, in every class, with the noise of one series and of its twin
        for seen, expected in zip(fitted.tails, fitted.fitted_tails, strict=True):
            assert abs(math.sqrt(seen + 0.375) - math.sqrt(expected + 0.375)) < 3.0, (name, fitted.tails, fitted.fitted_tails)


@pytest.mark.slow
def test_season_and_volume_come_back(round_trip):
    name, item, found = round_trip
    if name != "equity days":
        levels = np.median([np.array(fitted.instrument.season.volatility) for fitted, _ in found], axis=0)
        true = np.array(item.season.volatility)
        np.testing.assert_allclose(levels / levels.mean(), true / true.mean(), rtol=0.08)
    for fitted, _ in found:
        assert (fitted.instrument.volume is None) == (item.volume is None)
    if item.volume is None:
        return
    volumes = [fitted.instrument.volume for fitted, _ in found]
    assert np.median([v.per_session for v in volumes]) == pytest.approx(item.volume.per_session, rel=0.25)
    assert np.median([v.volatility_elasticity for v in volumes]) == pytest.approx(item.volume.volatility_elasticity, abs=0.12)
    assert np.median([v.move_elasticity for v in volumes]) == pytest.approx(item.volume.move_elasticity, abs=0.06)
    assert np.median([v.noise_sd for v in volumes]) == pytest.approx(item.volume.noise_sd, abs=0.06)


@pytest.mark.slow
def test_a_market_without_clusters_or_jumps_is_not_given_any():
    plain = replace(equity("A"), process=PriceProcess(0.2, slow_volatility_sd=0.0, fast_volatility_sd=0.0, gap_share=0.2))
    (made,) = simulate_bars(BarMarket(3, (plain,), date(2004, 1, 1), date(2018, 12, 31), "1d"))
    process = calibrate(made.bars, name="B", kind=Kind.EQUITY, interval="1d").instrument.process
    assert math.sqrt(process.log_volatility_variance) < 0.08
    assert process.jump_share < 0.02


# real series --------------------------------------------------------------------------------------------------------


def looks_like(real: Facts, worlds: list[Facts], *, kurtosis: float, clusters: float, shape: float) -> None:
    """Facts of the real series beside the median of the simulated worlds: the tolerances that every fitted market is held to."""
    def median(get):
        return float(np.median([get(world) for world in worlds]))

    mean_square = math.sqrt(np.mean([world.annual_volatility**2 for world in worlds]))
    assert mean_square == pytest.approx(real.annual_volatility, rel=0.35)
    assert median(lambda w: w.gap_share) == pytest.approx(real.gap_share, abs=0.2)
    assert abs(math.log(median(lambda w: w.kurtosis) / real.kurtosis)) < math.log(kurtosis)
    assert median(lambda w: w.autocorrelation) == pytest.approx(real.autocorrelation, abs=0.08)
    assert median(lambda w: w.leverage) == pytest.approx(real.leverage, abs=0.06)
    for place, seen in enumerate(real.absolute_autocorrelation):
        assert median(lambda w, at=place: w.absolute_autocorrelation[at]) == pytest.approx(seen, abs=clusters)
    simulated = np.median([world.shape for world in worlds], axis=0)
    assert np.abs(simulated - np.array(real.shape)).max() < shape
    if real.volume_volatility is not None:
        assert median(lambda w: w.volume_volatility) == pytest.approx(real.volume_volatility, abs=0.3)


def fitted_worlds(bars: pl.DataFrame, kind: Kind, interval: str, calendar: str, clock: str, tick: Decimal) -> tuple[Facts,
list[Facts]]:
    fitted = calibrate(bars, name="FITTED", kind=kind, interval=interval, clock=clock, tick=tick).instrument
    bins = len(fitted.season.volatility)
    first, last = bars["ts"][0].date(), bars["ts"][-1].date()
    worlds = []
    for seed in range(12):
        (made,) = simulate_bars(BarMarket(seed, (fitted,), first, last, interval))
        assert made.instrument.simulated
        worlds.append(stylised_facts(made.bars, calendar, interval, clock=clock, bins=bins))
    return stylised_facts(bars, calendar, interval, clock=clock, bins=bins), worlds


def test_a_market_fitted_to_twenty_years_of_the_nasdaq_has_its_stylised_facts():
    real, worlds = fitted_worlds(read_bundled("nasdaq")[1], Kind.EQUITY, "1d", "XNYS", SESSION, Decimal("0.01"))
    assert real.kurtosis > 8
    looks_like(real, worlds, kurtosis=1.8, clusters=0.12, shape=1e-9)


def test_a_series_that_does_not_fit_is_refused():
    (made,) = simulate_bars(BarMarket(1, (equity("A"),), date(2023, 6, 1), date(2023, 6, 2)))
    with pytest.raises(InvalidInput, match="check calendar, interval"):
        calibrate(made.bars.with_columns(pl.col("ts") + timedelta(seconds=30)), name="B", kind=Kind.EQUITY, interval="1m")
    with pytest.raises(InvalidInput, match="one instrument"):
        calibrate(pl.concat([made.bars, made.bars.with_columns(instrument=pl.lit("SIM:B"))]), name="B", kind=Kind.EQUITY,
        interval="1m")
    with pytest.raises(MissingData, match="at least 500 bars"):
        calibrate(made.bars.head(300), name="B", kind=Kind.EQUITY, interval="1m")
    with pytest.raises(MissingData, match="expected bars"):
        calibrate(made.bars.clear(), name="B", kind=Kind.EQUITY, interval="1m")
    bare = made.bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("open", "high", "low"))
    with pytest.raises(MissingData, match="at least 500 bars"):
        calibrate(bare, name="B", kind=Kind.EQUITY, interval="1m")


def as_bars(frame: pl.DataFrame) -> pl.DataFrame:
    stamp = pl.col("ts").cast(BARS["ts"])
    prices = [pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")]
    return (
        frame.select(pl.lit("XXXX:A").alias("instrument"), stamp, stamp.alias("available_at"), *prices, pl.lit(None,
        pl.String).alias("reasons")) .unique("ts", keep="last").sort("ts")
    )  # fmt: skip


def real_bars(folder: Path, name: str, interval: str, stamp: pl.Expr) -> pl.DataFrame:
    frame = pl.read_csv(folder / name)
    frame = frame.rename({column: column.lower() for column in frame.columns})
    if "volume" not in frame.columns:
        frame = frame.with_columns(volume=pl.lit(None))
    return as_bars(frame.with_columns(ts=stamp))


def text_time(column: str) -> pl.Expr:
    return pl.col(column).str.slice(0, 19).str.to_datetime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("name", ["SPY", "QQQ", "AAPL", "NVDA"])
@pytest.mark.slow
def test_markets_fitted_to_three_months_of_real_five_minute_bars_have_their_facts(realdata, name):
    start = text_time("datetime").dt.replace_time_zone("UTC")
    bars = real_bars(realdata, f"intraday/us_2026_5m/{name}_5m.csv.gz", "5m", start + timedelta(minutes=5))
    real, worlds = fitted_worlds(bars, Kind.EQUITY, "5m", "XNYS", SESSION, Decimal("0.01"))
    assert real.shape[0] > 1.2 > 0.95 > min(real.shape)
    looks_like(real, worlds, kurtosis=2.5, clusters=0.12, shape=0.15)


@pytest.mark.parametrize("name", ["SPY", "AAPL", "MSFT"])
@pytest.mark.slow
def test_markets_fitted_to_a_week_of_real_minutes_have_their_facts(realdata, name):
    end = text_time("datetime").dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
    bars = real_bars(realdata, f"intraday/us_2019_1m_reverse_order/{name}_1min.csv.gz", "1m", end)
    real, worlds = fitted_worlds(bars, Kind.EQUITY, "1m", "XNYS", SESSION, Decimal("0.01"))
    looks_like(real, worlds, kurtosis=2.2, clusters=0.12, shape=0.3)


@pytest.mark.parametrize(("name", "kurtosis"), [("BTCUSDT", 3.0), ("ETHUSDT", 7.0)])
@pytest.mark.slow
def test_markets_fitted_to_a_month_of_real_crypto_minutes_have_their_facts(realdata, name, kurtosis):
    """A few minutes of March 2025 make ether's kurtosis of 51: one normal law of jumps reaches 10."""
    start = text_time("timestamp").dt.replace_time_zone("UTC")
    bars = real_bars(realdata, f"crypto/binance_1m_utc/{name}_marzo_2025_1m.csv.gz", "1m", start + timedelta(minutes=1))
    real, worlds = fitted_worlds(bars, Kind.CRYPTO, "1m", "24/7", "UTC", Decimal("0.01"))
    looks_like(real, worlds, kurtosis=kurtosis, clusters=0.15, shape=0.35)
