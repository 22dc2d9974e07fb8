"""Simulated bars: the law they claim is the law they have, the path is sound, and the label never comes off."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data import MemoryStore, gap_report
from fieldcast.data.simulated import (
    SESSION,
    BarMarket,
    PriceProcess,
    Season,
    SimulatedInstrument,
    VolumeProcess,
    _kernels,
    crypto,
    equity,
    fx,
    loadings_of,
    simulate_bars,
    stylised_facts,
)
from fieldcast.data.simulated.grid import grid_of
from fieldcast.data.simulated.parameters import INTERVAL_SECONDS
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, has_reason, sessions_between

YEAR = date(2023, 1, 1), date(2023, 12, 31)
MONTH = date(2023, 6, 1), date(2023, 6, 30)
PLAIN = PriceProcess(0.2, slow_volatility_sd=0.0, fast_volatility_sd=0.0)
FLAT = Season(SESSION)


def only(market: BarMarket):
    (found,) = simulate_bars(market)
    return found


def digest(bars: pl.DataFrame) -> str:
    values = bars.select("open", "high", "low", "close", pl.col("volume").fill_null(-1.0)).to_numpy()
    return hashlib.sha256(np.ascontiguousarray(values).tobytes() + bars["ts"].to_physical().to_numpy().tobytes()).hexdigest()


# the grid -----------------------------------------------------------------------------------------------------------


def test_equity_minutes_follow_the_exchange_calendar_through_half_days_and_daylight_saving():
    bars = only(BarMarket(1, (equity("A"),), *YEAR)).bars
    local = bars.with_columns(local=pl.col("ts").dt.convert_time_zone("America/New_York"))
    per_day = local.group_by(pl.col("local").dt.date()).len().sort("local")
    assert per_day.height == sessions_between("XNYS", *YEAR).height == 250
    short = per_day.filter(pl.col("len") != 390)
    assert short.rows() == [(date(2023, 7, 3), 210), (date(2023, 11, 24), 210)]
    first = local.group_by(pl.col("local").dt.date().alias("day")).agg(pl.col("local").min().dt.time()).sort("day")
    assert first["local"].unique().to_list() == [time(9, 31)]
    by_utc = bars.group_by(pl.col("ts").dt.date().alias("day")).agg(pl.col("ts").min().dt.hour()).sort("day")
    hours = dict(by_utc.rows())
    assert (hours[date(2023, 3, 10)], hours[date(2023, 3, 13)], hours[date(2023, 11, 6)]) == (14, 13, 14)


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "30m", "1h", "1d"])
def test_bars_tile_every_session_without_hole_or_overlap(interval):
    grid = grid_of("XNYS", interval, *YEAR)
    table = sessions_between("XNYS", *YEAR)
    opens, closes = (table[name].dt.epoch("s").to_numpy() for name in ("open", "close"))
    assert np.array_equal(np.unique(grid.start[grid.into == 0]), opens)
    assert (grid.start[1:] >= grid.end[:-1]).all()
    assert grid.seconds.sum() == (closes - opens).sum()
    assert grid.opens.sum() == table.height - 1
    if interval != "1d":
        assert grid.seconds.max() == INTERVAL_SECONDS[interval]


def test_crypto_never_sleeps_and_currencies_rest_at_the_weekend():
    coin, pair = simulate_bars(BarMarket(1, (crypto("BTC"), fx("EURUSD")), *MONTH))
    assert coin.bars.height == 30 * 1440
    assert (coin.bars["ts"].diff().drop_nulls().dt.total_minutes() == 1).all()
    assert pair.bars.height == 22 * 1440
    assert set(pair.bars["ts"].dt.offset_by("-1m").dt.weekday()) == {1, 2, 3, 4, 5}


def test_a_calendar_with_a_midday_break_has_no_bar_in_it():
    japan = replace(equity("J", calendar="XTKS"), process=replace(PLAIN, gap_share=0.2))
    bars = only(BarMarket(1, (japan,), date(2023, 6, 5), date(2023, 6, 9))).bars
    local = bars["ts"].dt.convert_time_zone("Asia/Tokyo")
    assert bars.height == 5 * 300
    clock = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
    assert not clock.is_between(11 * 60 + 31, 12 * 60 + 30).any()


def test_the_gap_check_finds_nothing_missing():
    for made in simulate_bars(BarMarket(1, (equity("A"), crypto("B"), fx("EURUSD")), *MONTH)):
        report = gap_report(made.bars, made.instrument, "1m")
        assert report.ok
        assert report.completeness == 100.0


# the path -----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    volatility=st.floats(0.01, 3.0),
    price=st.floats(0.02, 1e5),
    jumps=st.floats(0.0, 5.0),
    interval=st.sampled_from(["1m", "15m", "1d"]),
    tick=st.sampled_from([Decimal("0.01"), Decimal("0.25"), Decimal("0.03")]),
    freedom=st.sampled_from([None, 3.0, 8.0]),
)
def test_every_bar_is_sound_on_its_tick_and_begins_where_the_last_one_ended(
    seed, volatility, price, jumps, interval, tick, freedom
):
    process = PriceProcess(volatility, leverage=-0.3, gap_share=0.3, jumps_per_session=jumps, jump_size=0.4)
    item = SimulatedInstrument("A", Kind.EQUITY, process, FLAT, VolumeProcess(1e6), price, tick=tick)
    bars = only(BarMarket(seed, (item,), date(2023, 6, 1), date(2023, 6, 9), interval, freedom)).bars
    opened, high, low, close = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (low > 0).all()
    steps = bars.select("open", "high", "low", "close").to_numpy() / float(tick)
    assert np.abs(steps - np.rint(steps)).max() < 1e-6 * max(1.0, steps.max())
    grid = grid_of("XNYS", interval, date(2023, 6, 1), date(2023, 6, 9))
    joined = ~grid.opens[1:]
    assert np.array_equal(opened[1:][joined], close[:-1][joined])
    assert (bars["volume"] >= 0).all()


def test_the_kernel_equals_its_plain_twin():
    """The same walk in plain Python, on draws with gaps, jumps, leverage and t innovations."""
    random = np.random.default_rng(3)
    n, k = 60, 3
    process = np.array([1e-4, 2e-4, 0.5, 0.3, 0.05, 0.4, 2.0, -0.6, 0.02])
    dt, variance = np.full(n, 0.1), random.uniform(0.05, 0.2, n)
    gap = np.full(n, -1)
    gap[[20, 40]] = [0, 1]
    gap_shock = np.column_stack([np.full(2, 0.25), random.standard_normal((2, 3)), [1.3, 0.7]])
    shock, own = random.standard_normal(n), random.standard_normal((n, 2))
    bridge, extremes = random.standard_normal((n, k)), random.standard_exponential((n, 2 * k))
    mix = random.uniform(0.5, 2.0, n)
    jump_bar, jump_step = np.array([5, 20, 20, 33]), np.array([1, -1, 2, 0])
    jump_size = np.array([0.02, -0.03, 0.01, -0.02])
    log_volume, shape, noise = np.full(n, 3.0), np.array([0.8, 0.3, 0.2]), random.standard_normal(n)
    state = np.array([math.log(50.0), 0.1, -0.2, 0.0])
    prices, volumes, latent = np.empty((n, 4)), np.empty(n), np.empty((n, 2))
    _kernels.walk(state.copy(), process, np.array([1e9, 1e-9]), dt, variance, gap, gap_shock, shock, own, bridge, extremes, mix,
                  jump_bar, jump_step, jump_size, 0, log_volume, shape, noise, prices, volumes, latent)  # fmt: skip

    jumps = list(zip(jump_bar, jump_step, jump_size, strict=True))
    base, drift, rate, v_s, k_s, v_f, k_f, rho, sd = process
    x, s, f = state[:3]

    def level():
        return base * math.exp(2 * (s + f) - 2 * (v_s**2 + v_f**2))

    def moved(h, v, kappa, time, z, e):
        keep = math.exp(-kappa * time)
        return keep * h + v * math.sqrt(1 - keep**2) * (rho * z + math.sqrt(1 - rho**2) * e)

    for t in range(n):
        if gap[t] >= 0:
            time, z, e_s, e_f, w = gap_shock[gap[t]]
            here = level()
            x += (drift - rate * math.expm1(sd**2 * here / base / 2)) * time
            x += math.sqrt(here * time * w) * z - here * time * w / 2
            x += math.sqrt(here / base) * sum(size for bar, step, size in jumps if (bar, step) == (t, -1))
            s, f = moved(s, v_s, k_s, time, z, e_s), moved(f, v_f, k_f, time, z, e_f)
        here = level()
        var = here * variance[t] * mix[t]
        path = [x]
        tops, bottoms = [x], [x]
        increments = bridge[t] / math.sqrt(k)
        increments = increments - increments.mean() + shock[t] / k
        busy = here / base * variance[t] / dt[t]
        along = (drift - rate * math.expm1(sd**2 * busy / 2)) * dt[t] - var / 2
        for c in range(k):
            move = along / k + math.sqrt(var) * increments[c]
            for sign, draws, into in ((1, extremes[t, 2 * c], tops), (-1, extremes[t, 2 * c + 1], bottoms)):
                into.append((2 * path[-1] + move + sign * math.sqrt(move**2 + 2 * var / k * draws)) / 2)
            jump = math.sqrt(busy) * sum(size for bar, step, size in jumps if (bar, step) == (t, c))
            path.append(path[-1] + move + jump)
        x = path[-1]
        expected = [path[0], max(tops + path), min(bottoms + path), x]
        np.testing.assert_allclose(prices[t], np.exp(expected), rtol=1e-8)
        surprise = abs(shock[t]) - math.sqrt(2 / math.pi)
        assert volumes[t] == pytest.approx(math.exp(3 + 0.8 * (s + f) + 0.3 * surprise + 0.2 * noise[t]), rel=1e-9)
        s, f = moved(s, v_s, k_s, dt[t], shock[t], own[t, 0]), moved(f, v_f, k_f, dt[t], shock[t], own[t, 1])
        np.testing.assert_allclose(latent[t], [s, f], rtol=1e-9)


# the law ------------------------------------------------------------------------------------------------------------


def test_variance_is_the_stated_one_and_falls_into_gaps_and_bins_as_stated():
    """Constant volatility, 20 years of hours: annual volatility within 1 %, the gap's share and the season within 2.5 %."""
    season = Season(SESSION, (2.0, 1.0, 0.5, 1.5))
    item = SimulatedInstrument("A", Kind.EQUITY, replace(PLAIN, gap_share=0.3), season, None, 1000.0, tick=Decimal("0.0001"))
    bars = only(BarMarket(4, (item,), date(1999, 1, 1), date(2018, 12, 31), "15m")).bars
    facts = stylised_facts(bars, "XNYS", "15m", bins=1)
    assert facts.annual_volatility == pytest.approx(0.2, rel=0.01)
    assert facts.gap_share == pytest.approx(0.3, rel=0.025)
    shape = stylised_facts(bars, "XNYS", "15m", bins=26).shape
    share = grid_of("XNYS", "15m", *YEAR).shares(season.variance_levels(), SESSION)[:26]
    np.testing.assert_allclose(shape, np.sqrt(share) / np.sqrt(share).mean(), rtol=0.025)
    assert facts.kurtosis > 3.3                                       # the season alone
    assert stylised_facts(bars, "XNYS", "15m", bins=26).kurtosis == pytest.approx(3.0, abs=0.05)
    assert abs(facts.autocorrelation) < 4 / math.sqrt(bars.height)


def test_a_daily_market_has_the_same_variance_as_the_intraday_one():
    item = SimulatedInstrument("A", Kind.EQUITY, replace(PLAIN, gap_share=0.3), FLAT, None, 1000.0, tick=Decimal("0.0001"))
    daily = stylised_facts(only(BarMarket(4, (item,), date(1979, 1, 1), date(2018, 12, 31), "1d")).bars, "XNYS", "1d")
    assert daily.annual_volatility == pytest.approx(0.2, rel=4 / math.sqrt(2 * 10_000))
    assert daily.gap_share == pytest.approx(0.3, rel=0.06)


@pytest.mark.parametrize("steps", [1, 4, 16])
def test_high_and_low_have_the_law_of_a_brownian_path_whatever_the_number_of_steps(steps):
    """E (log H / L)^2 = 4 log 2 sigma^2 for a driftless Brownian motion (Parkinson 1980); within 1.5 %."""
    process = replace(PLAIN, annual_volatility=0.5)
    item = SimulatedInstrument("A", Kind.CRYPTO, process, Season("UTC"), None, 1e4, tick=Decimal("0.0001"))
    bars = only(BarMarket(2, (item,), *MONTH, "1m", steps=steps)).bars
    ranges = np.log(bars["high"].to_numpy() / bars["low"].to_numpy())
    sigma2 = 0.25 / 365 / 1440
    moves = np.diff(np.log(bars["close"].to_numpy()))
    assert moves.var() == pytest.approx(sigma2, rel=0.03)
    bound = {1: 0.08, 4: 0.015, 16: 0.015}[steps]      # with one step high and low are drawn without regard to each other
    assert np.square(ranges).mean() == pytest.approx(4 * math.log(2) * sigma2, rel=bound)
    assert ranges.mean() == pytest.approx(math.sqrt(8 / math.pi) * math.sqrt(sigma2), rel=0.015)   # Feller (1951), any steps


def test_volatility_clusters_leverage_and_jumps_show_where_they_are_asked_for():
    quiet = SimulatedInstrument("A", Kind.EQUITY, PLAIN, FLAT, None, 1000.0)
    wild = replace(quiet, process=replace(PLAIN, slow_volatility_sd=0.5, slow_half_life=20.0, leverage=-0.8))
    jumpy = replace(quiet, process=replace(PLAIN, jumps_per_session=0.05, jump_size=3.0))
    span = date(1979, 1, 1), date(2018, 12, 31)
    plain, clustered, jumps = (
        stylised_facts(only(BarMarket(5, (item,), *span, "1d")).bars, "XNYS", "1d") for item in (quiet, wild, jumpy)
    )
    noise = 4 / math.sqrt(10_000)
    assert abs(plain.absolute_autocorrelation[0]) < noise < 0.15 < clustered.absolute_autocorrelation[0]
    assert abs(plain.leverage) < noise < 0.1 < -clustered.leverage
    assert plain.kurtosis < 3.3 < 6 < min(clustered.kurtosis, jumps.kurtosis)
    # normal moves with share 0.45 of their variance in jumps: kurtosis 3 (1 + rate size^4), +-20 % at this length
    assert jumps.kurtosis == pytest.approx(3 * (1 + 0.05 * 3.0**4), rel=0.2)


def test_the_price_is_a_martingale_without_drift_and_grows_at_its_drift_with_one():
    """Mean growth over a year of 400 instruments with leverage, jumps and clusters; within 3.5 standard errors."""
    for drift in (0.0, 0.1):
        process = PriceProcess(0.25, drift, leverage=-0.7, gap_share=0.25, jumps_per_session=0.1, jump_size=1.0)
        items = tuple(SimulatedInstrument(f"A{i}", Kind.EQUITY, process, FLAT, None, 1000.0) for i in range(400))
        market = BarMarket(6, items, date(2022, 1, 1), date(2022, 12, 31), "1d", steps=1)
        growth = np.array([made.bars["close"][-1] / 1000.0 for made in simulate_bars(market)])
        assert abs(growth.mean() - math.exp(drift)) < 3.5 * growth.std() / math.sqrt(400)


def test_instruments_have_the_stated_correlation_also_across_markets_that_sleep_at_other_times():
    wanted = [[1.0, 0.6, 0.3], [0.6, 1.0, 0.5], [0.3, 0.5, 1.0]]
    of = loadings_of(wanted)
    items = tuple(SimulatedInstrument(f"A{i}", Kind.EQUITY, PLAIN, FLAT, None, 1000.0, of[i]) for i in range(3))
    market = BarMarket(7, items, *YEAR, "5m")
    np.testing.assert_allclose(market.correlation(), wanted, atol=1e-12)
    made = [np.diff(np.log(item.bars["close"].to_numpy())) for item in simulate_bars(market)]
    assert np.abs(np.corrcoef(made) - wanted).max() < 4 / math.sqrt(made[0].size)

    factor = (0.9,)
    share = SimulatedInstrument("S", Kind.EQUITY, replace(PLAIN, gap_share=0.3), FLAT, None, 1000.0, factor)
    coin = SimulatedInstrument("C", Kind.CRYPTO, PLAIN, Season("UTC"), None, 1000.0, factor)
    stock, token = simulate_bars(BarMarket(8, (share, coin), date(2015, 1, 1), date(2023, 12, 31), "1h"))
    night = stock.daily().bars.select("ts", gap=(pl.col("open") / pl.col("close").shift(1)).log())
    opens = sessions_between("XNYS", date(2015, 1, 1), date(2023, 12, 31)).select(ts="close", open="open").with_columns(
        before=pl.col("ts").shift(1)
    )  # fmt: skip
    price = token.bars.select("ts", "close").sort("ts")
    joined = night.join(opens, on="ts").drop_nulls()
    for name in ("open", "before"):
        known = price.rename({"close": f"at_{name}"})
        joined = joined.sort(name).join_asof(known, left_on=name, right_on="ts", strategy="backward")
        joined = joined.drop("ts_right", strict=False)
    other = (joined["at_open"] / joined["at_before"]).log()
    length = (joined["open"] - joined["before"]).dt.total_hours()
    scaled = other / length.cast(pl.Float64).sqrt()
    assert np.corrcoef(joined["gap"], scaled)[0, 1] == pytest.approx(0.81, abs=0.06)


def test_heavy_tails_come_with_few_degrees_of_freedom_and_are_shared():
    items = tuple(SimulatedInstrument(f"A{i}", Kind.EQUITY, PLAIN, FLAT, None, 1000.0) for i in range(2))
    one, other = (
        np.diff(np.log(made.bars["close"].to_numpy())) for made in simulate_bars(BarMarket(9, items, *YEAR, "1m", 6.0))
    )
    assert ((one - one.mean()) ** 4).mean() / one.var() ** 2 == pytest.approx(6.0, rel=0.25)      # 3 + 6 / (6 - 4)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert np.corrcoef(np.abs(one), np.abs(other))[0, 1] > 0.05
    assert one.var() == pytest.approx(0.04 / 252 / 390, rel=0.03)


def test_volume_rises_with_volatility_and_has_its_mean_and_season():
    item = replace(equity("A"), process=replace(PLAIN, slow_volatility_sd=0.4, slow_half_life=5.0))
    bars = only(BarMarket(3, (item,), date(2018, 1, 1), date(2023, 12, 31), "5m")).bars
    per_session = bars.group_by(pl.col("ts").dt.date()).agg(pl.col("volume").sum())["volume"]
    assert per_session.mean() == pytest.approx(5e6, rel=0.06)
    facts = stylised_facts(bars, "XNYS", "5m")
    assert facts.volume_volatility is not None
    assert facts.volume_volatility > 0.4
    local = pl.col("ts").dt.offset_by("-1m").dt.convert_time_zone("America/New_York").dt
    half_hour = (local.hour().cast(pl.Int32) * 60 + local.minute() - 570) // 30
    by_bin = bars.group_by(half_hour.alias("bin")).agg(pl.col("volume").mean()).sort("bin")["volume"].to_numpy()
    np.testing.assert_allclose(by_bin / by_bin.mean(), item.season.volume_levels(), rtol=0.04)


# seeds and labels ---------------------------------------------------------------------------------------------------


def test_adding_an_instrument_or_a_later_end_changes_nothing_that_was_there():
    few = BarMarket(11, (equity("A", loadings=(0.5,)), crypto("C", loadings=(0.4,))), *MONTH, degrees_of_freedom=8.0)
    more = replace(few, instruments=(fx("EURUSD", loadings=(0.1,)), *few.instruments, equity("B", loadings=(0.2, 0.3))))
    longer = replace(few, last=date(2023, 8, 31))
    before = {made.instrument.id: made.bars for made in simulate_bars(few)}
    for made in simulate_bars(more):
        if made.instrument.id in before:
            assert digest(made.bars) == digest(before[made.instrument.id])
    for made in simulate_bars(longer):
        kept = before[made.instrument.id]
        assert made.bars.height > kept.height
        assert digest(made.bars.head(kept.height)) == digest(kept)
    assert digest(before["SIM:A"]) != digest(only(replace(few, seed=12, instruments=few.instruments[:1])).bars)


def test_the_same_seed_gives_the_same_bars_in_another_process():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_simulated_bars import *\n"
        "print(digest(only(BarMarket(21, (equity('A', loadings=(0.5,)),), *MONTH)).bars))"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest(only(BarMarket(21, (equity("A", loadings=(0.5,)),), *MONTH)).bars)


def test_the_label_and_the_seed_are_on_everything_and_the_store_takes_it():
    store = MemoryStore()
    market = BarMarket(77, (equity("A"), crypto("BTC"), fx("EURUSD")), date(2023, 6, 1), date(2023, 6, 2))
    for made in simulate_bars(market):
        assert made.instrument.simulated
        assert made.instrument.id.startswith("SIM:")
        assert "SIMULATED" in made.instrument.name
        assert "seed 77" in made.instrument.name
        assert made.lineage.simulated
        assert "seed 77" in made.lineage.source
        for part in (made, made.daily()):
            assert part.bars.select(has_reason(Reason.SIMULATED).all()).item()
            store.append(part.bars, part.lineage, table=part.table)
            assert store.read(made.instrument.id, table=part.table).height == part.bars.height
    assert store.datasets()["simulated"].all()
    assert store.read("SIM:EURUSD", table="bars/1m")["volume"].null_count() == 2 * 1440
    one, other = (replace(market, instruments=(item,)) for item in (equity("A"), equity("A", annual_volatility=0.26)))
    assert only(one).lineage.source != only(other).lineage.source


def test_daily_bars_of_an_intraday_history_are_its_own():
    made = only(BarMarket(5, (equity("A"),), *MONTH))
    daily = made.daily().bars
    for session, row in zip(sessions_between("XNYS", *MONTH).iter_rows(named=True), daily.iter_rows(named=True), strict=True):
        part = made.bars.filter(pl.col("ts").is_between(session["open"], session["close"], closed="right"))
        assert row["ts"] == session["close"]
        assert (row["open"], row["close"]) == (part["open"][0], part["close"][-1])
        assert (row["high"], row["low"], row["volume"]) == (part["high"].max(), part["low"].min(), part["volume"].sum())


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, seed=-1), lambda m: replace(m, interval="2m"), lambda m: replace(m, instruments=()),
        lambda m: replace(m, instruments=m.instruments * 2), lambda m: replace(m, first=date(2024, 1, 1)),
        lambda m: replace(m, degrees_of_freedom=2.0), lambda m: replace(m, steps=0),
        lambda m: replace(m.instruments[0], name="a b"), lambda m: replace(m.instruments[0], loadings=(0.9, 0.9)),
        lambda m: replace(m.instruments[0], first_price=0.0), lambda m: replace(PLAIN, leverage=-1.0),
        lambda m: replace(PLAIN, annual_volatility=math.nan), lambda m: replace(PLAIN, jumps_per_session=1.0, jump_size=1.0),
        lambda m: replace(PLAIN, gap_share=1.0), lambda m: replace(PLAIN, slow_half_life=0.0), lambda m: Season("Mars/Phobos"),
        lambda m: Season(SESSION, (1.0, -1.0)), lambda m: VolumeProcess(0.0), lambda m: loadings_of([[1.0, 2.0], [2.0, 1.0]]),
        lambda m: loadings_of([[1.0, 0.5], [0.4, 1.0]]),
        lambda m: only(replace(m, first=date(2023, 6, 3), last=date(2023, 6, 4))),
        lambda m: only(replace(m, instruments=(replace(crypto("C"), process=replace(PLAIN, gap_share=0.1)),))),
    ],
)  # fmt: skip
def test_a_market_that_cannot_be_is_refused(change):
    with pytest.raises(InvalidInput, match="expected"):
        change(BarMarket(1, (equity("A"),), *MONTH))
