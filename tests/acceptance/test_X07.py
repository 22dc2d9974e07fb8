"""X07: Windowed dataset with alignment checks from an immutable raw price frame; multi-asset and combined builders (SPY, DIA,
QQQ, VIX, stocks, FRED); 8 timescales.

Done when: "Window count equals rows-ctx-H+1, and normalising inputs leaves labels unchanged bit for bit"
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.data.simulated import BarMarket, equity, index, simulate_bars
from fieldcast.features import labels, normalise
from fieldcast.features.builders import combine, pool
from fieldcast.features.thresholds import CELLS, threshold
from fieldcast.features.timescales import MULTI, TIMESCALES, at_timescale, features_at
from fieldcast.features.windows import PriceFrame, windows
from fieldcast.ground import InvalidInput
from fieldcast.market import DECISION_DELAY, conform, table_of

pytestmark = pytest.mark.feature("X07")
OPEN_PARTS: tuple[str, ...] = ()
NAMES = ("SPY", "DIA", "QQQ", "AAPL")


@pytest.fixture(scope="module")
def market() -> dict[str, pl.DataFrame]:
    """Simulated daily bars of three funds, a share and a VIX on one calendar."""
    instruments = (*(equity(name) for name in NAMES), index("VIX", first_price=18.0, annual_volatility=0.9))
    made = simulate_bars(BarMarket(77, instruments, date(2012, 1, 3), date(2014, 6, 30), "1d"))
    return dict(zip((*NAMES, "VIX"), (one.bars for one in made), strict=True))


def inputs_of(bars: pl.DataFrame) -> pl.DataFrame:
    return features.compute(bars, ["volatility"]).drop("overnight_share_22")


@pytest.mark.parametrize("context", [1, 5, 60])
@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
def test_the_window_count_is_rows_less_context_less_horizon_plus_one(
    market: dict[str, pl.DataFrame], context: int, horizon: int
) -> None:
    bars = market["SPY"].tail(200)
    raw = bars.select("ts", "close", "volume")
    found = windows(bars, raw, labels.high_reaches(bars, horizon), "y", context=context, horizon=horizon)
    assert len(found) == 200 - context - horizon + 1
    assert found.x.shape == (len(found), context, 2)
    close, high = bars["close"].to_list(), bars["high"].to_list()
    for i in (0, 1, len(found) // 2, len(found) - 1):
        x, y = found[i]
        t = i + context - 1
        assert x[:, 0].tolist() == close[i : t + 1]
        assert y == float(max(high[t + 1 : t + 1 + horizon]) >= close[t] * 1.01)
        assert found.ts[i] == bars["ts"].dt.epoch("us")[t]
        assert found.label_end[i] == bars["ts"].dt.epoch("us")[t + horizon]


def test_a_warm_up_is_dropped_and_counted_and_the_count_is_that_of_the_rows_left(market: dict[str, pl.DataFrame]) -> None:
    bars = market["SPY"]
    table = inputs_of(bars)
    warm = max(features.REGISTRY[name].warmup for name in table.columns if name != "ts")
    found = windows(bars, table, labels.sign(bars, 5), "y", context=30, horizon=5)
    assert found.dropped == warm
    assert len(found) == bars.height - warm - 30 - 5 + 1


def test_normalising_inputs_leaves_every_label_unchanged_bit_for_bit(market: dict[str, pl.DataFrame]) -> None:
    bars = market["QQQ"]
    prices = PriceFrame.of(bars)
    before = prices.hash
    table = inputs_of(bars)
    for cell in (CELLS[5], CELLS[37], CELLS[61]):
        made = threshold(bars, cell.family, cell.theta, cell.horizon)
        raw = windows(prices, table, made, "y", context=40, horizon=cell.horizon)  # type: ignore[arg-type]
        training = raw.training(datetime(2013, 6, 28, 23, tzinfo=UTC))
        assert 0 < training.size < len(raw)
        for kind in ("standard", "min_max", "robust"):
            fitted = normalise.fit(kind, raw.rows, raw.columns, raw.rows_of(training))
            scaled = raw.normalised(fitted)
            assert scaled.y.tobytes() == raw.y.tobytes()
            assert scaled.y is raw.y
            assert scaled.label_end.tobytes() == raw.label_end.tobytes()
            assert scaled.inputs_hash == fitted.hash
            assert not np.array_equal(scaled.x, raw.x)
        window_wise = normalise.fit("revin", raw.rows, raw.columns, raw.rows_of(training)).apply(raw.x)
        assert window_wise.shape == raw.x.shape
        # normalised prices would have given other labels: the label reads the raw frame alone
        assert PriceFrame.of(bars).hash == prices.hash == before


def test_windows_are_views_of_one_table_that_nobody_can_write(market: dict[str, pl.DataFrame]) -> None:
    bars = market["DIA"]
    found = windows(bars, inputs_of(bars), labels.sign(bars, 1), "y", context=80, horizon=1)
    assert np.shares_memory(found.x, found.rows)
    assert np.shares_memory(found[7][0], found.rows)
    for array in (found.rows, found.y, found.ts, found.label_end, found.x, found.prices.ts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_rows_that_do_not_line_up_are_refused(market: dict[str, pl.DataFrame]) -> None:
    bars = market["SPY"]
    table, asked = inputs_of(bars), labels.sign(bars, 5)
    with pytest.raises(InvalidInput, match="features on the"):
        windows(bars, table.slice(1), asked, "y", context=10, horizon=5)
    with pytest.raises(InvalidInput, match="labels on the"):
        windows(bars, table, labels.sign(market["VIX"].slice(3), 5), "y", context=10, horizon=5)
    with pytest.raises(InvalidInput, match="4 rows after"):
        windows(bars, table, asked, "y", context=10, horizon=4)
    with pytest.raises(InvalidInput, match="numbers in word"):
        windows(bars, table.with_columns(word=pl.lit("up")), asked, "y", context=10, horizon=5)
    with pytest.raises(InvalidInput, match="NaN"):
        windows(bars, table.with_columns(rv_1=pl.lit(float("nan"))), asked, "y", context=10, horizon=5)
    with pytest.raises(InvalidInput, match="look ahead"):
        windows(bars, table, asked.with_columns(y=pl.lit(1)), "y", context=10, horizon=5)


def test_several_instruments_with_vix_and_macro_stand_in_one_dataset_as_known_at_each_decision(
    market: dict[str, pl.DataFrame],
) -> None:
    spy = market["SPY"]
    days = spy["ts"]
    periods = [datetime(2011 + k // 12, k % 12 + 1, 1, tzinfo=UTC) for k in range(6, 42)]
    versions = [
        {
            "instrument": "FRED:UNRATE",
            "ts": at,
            "available_at": at + timedelta(days=delay),
            "value": 5.0 + k / 10 + v,
            "unit": "percent",
        }
        for k, at in enumerate(periods)
        for v, delay in ((0.0, 35), (0.01, 66))
    ]  # the first print, and a month later its revision
    macro = conform(pl.DataFrame(versions).with_columns(reasons=pl.lit("simulated")), dict(table_of("macro").schema))
    macro = macro.sample(fraction=1.0, shuffle=True, seed=1)
    vix = market["VIX"].select("ts", "close", available_at=pl.col("ts") + timedelta(minutes=15))
    late_vix = vix.with_columns(
        available_at=pl.when(pl.int_range(pl.len()) % 9 == 4)
        .then(pl.col("ts") + timedelta(days=1, hours=2))
        .otherwise("available_at")
    )
    others = {name.lower(): inputs_of(market[name]).hstack(market[name].select("available_at")) for name in ("DIA", "QQQ")}
    table = combine(
        spy,
        {**others, "vix": late_vix, "unrate": macro.select("ts", "available_at", "value")},
        oldest={"dia": timedelta(days=5), "qqq": timedelta(days=5), "vix": timedelta(days=5), "unrate": timedelta(days=120)},
    )
    assert table["ts"].equals(days)
    for row in range(0, spy.height, 23):
        moment = days[row] + DECISION_DELAY
        known = macro.filter(pl.col("available_at") <= moment).sort("ts", "available_at")
        assert table["unrate.value"][row] == known["value"][-1]
        seen = late_vix.filter((pl.col("available_at") <= moment) & (pl.col("ts") <= moment)).sort("ts")
        assert table["vix.close"][row] == (seen["close"][-1] if seen.height else None)
        assert table["dia.rv_5"][row] == others["dia"]["rv_5"][row]
    late = [row for row in range(9, spy.height) if row % 9 == 4]
    assert all(table["vix.close"][row] == market["VIX"]["close"][row - 1] for row in late)
    whole = inputs_of(spy).hstack(table.drop("ts"))
    found = windows(spy, whole, labels.sign(spy, 1), "y", context=20, horizon=1)
    assert len(found) == spy.height - found.dropped - 20 - 1 + 1
    assert {"vix.close", "unrate.value", "dia.rv_5", "qqq.rv_5", "rv_5"} <= set(found.columns)


def test_windows_of_several_instruments_never_cross_from_one_to_the_next(market: dict[str, pl.DataFrame]) -> None:
    parts = [
        windows(market[name], inputs_of(market[name]), labels.sign(market[name], 5), "y", context=15, horizon=5) for name in NAMES
    ]
    together = pool(parts)
    assert len(together) == sum(len(part) for part in parts) == len(together.y) == len(together.instruments)
    start = 0
    for part in parts:
        assert set(together.instruments[start : start + len(part)]) == {part.prices.instrument}
        for place in (0, len(part) - 1):
            x, y = together[start + place]
            np.testing.assert_array_equal(x, part.x[place])
            assert np.array_equal(y, part.y[place], equal_nan=True)
        start += len(part)
    before = datetime(2013, 7, 1, tzinfo=UTC)
    training = together.training(before)
    assert (together.label_end[training] <= int(before.timestamp() * 1e6)).all()
    assert len(training) == sum(part.training(before).size for part in parts)
    with pytest.raises(InvalidInput, match="distinct instruments"):
        pool([parts[0], parts[0]])


def test_the_eight_timescales_give_datasets_of_the_right_count(market: dict[str, pl.DataFrame]) -> None:
    daily = market["SPY"]
    assert TIMESCALES == ("1d", "2d", "3d", "5d", "1w", "2w", "1mo", "1d+multi")
    assert len(TIMESCALES) == 8
    blocks = ["volatility"]
    for name in TIMESCALES:
        bars = at_timescale(daily, name, "XNYS")
        table = features_at(daily, name, "XNYS", blocks)
        assert table["ts"].equals(bars["ts"])
        chosen = ["rv_1", "rv_5", "parkinson_5"]  # 626 sessions are 29 months: longer memories have no value there
        if name == MULTI:
            chosen += [f"{longer}.{column}" for longer in ("1w", "1mo") for column in chosen]
        table = table.select("ts", *chosen)
        found = windows(bars, table, labels.sign(bars, 1), "y", context=4, horizon=1)
        assert len(found) == bars.height - found.dropped - 4 - 1 + 1
