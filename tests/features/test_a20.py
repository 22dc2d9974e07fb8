"""Tier a20 in one piece: its lines beside the public indicators, several instruments at once, two threads, tiny prices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast import features, indicators
from fieldcast.features import _a20, _kernels_a20, _kernels_a20_windows
from fieldcast.features._inputs import Inputs, read_bars
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]
BLOCK = _kernels_a20_windows.BLOCK


def apart(close: np.ndarray, line: np.ndarray) -> np.ndarray:
    """log(close / line), NaN where the line is not positive."""
    return np.log(close / np.where(line > 0, line, np.nan))


def twin(inputs: Inputs) -> dict[str, np.ndarray]:
    """The tier by the public functions of `indicators`, one column at a time."""
    high, low, close, volume = inputs.high, inputs.low, inputs.close, inputs.volume
    wilder = indicators.wilder(high, low, close, 14)
    rsi = np.where(wilder.move > _a20.LEAST_MOVE * close, wilder.rsi / 100.0, np.nan)
    traded = np.where(indicators.sma(volume, 20) > 0, 20.0 * indicators.sma(volume, 20), np.nan)
    balance = indicators.obv(close, volume)
    moved, place = np.full(close.size, np.nan), np.full(close.size, np.nan)
    moved[20:] = balance[20:] - balance[:-20]
    for row in range(4, close.size):
        window = rsi[row - 4 : row + 1]
        reach = window.max() - window.min()  # NaN where one is not known
        place[row] = (rsi[row] - window.min()) / reach if reach > _a20.LEAST_RANGE else np.nan
    weekly, weekly_place = indicators.block_strength(close, 14, 5, 50, 5, _a20.LEAST_MOVE, _a20.LEAST_RANGE)
    return {
        **{f"close_to_dema_{n}": apart(close, indicators.dema(close, n)) for n in _a20.DEMA_PERIODS},
        **{f"close_to_sma_{n}": apart(close, indicators.sma(close, n)) for n in _a20.SMA_PERIODS},
        "rsi_14": rsi,
        "rsi_weekly": weekly,
        "stochrsi_14": place,
        "stochrsi_weekly": weekly_place,
        "macd_to_close": indicators.macd(close).line / close,
        "obv_20": moved / traded,
        "adosc_to_volume": 20.0 * indicators.adosc(high, low, close, volume) / traded,
        "atr_to_close": wilder.atr / close,
        "adx_14": wilder.adx / 100.0,
        "percent_b_20": indicators.bollinger_percent_b(close, 20, 2.0),
        "close_to_vwap_20": apart(close, indicators.vwap(close, volume, 20)),
    }


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([0, 1, 5, 30, 249, 250, 251, 900, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 30, 2 * BLOCK, 2 * BLOCK + 300]),
    price=st.sampled_from([1e-4, 1.0, 120.0, 3e5]),
    still=st.booleans(),
)
def test_the_lines_are_those_of_the_public_indicators(bars_of: Bars, seed: int, n: int, price: float, still: bool) -> None:
    bars = bars_of(n, seed, price=price)
    if still and n > 60:  # nobody traded for a while, and the price stood
        begin = int(np.random.default_rng(seed).integers(0, n - 50))
        rest = pl.int_range(pl.len()).is_between(begin, begin + 40)
        last = bars["close"][begin]
        prices = [pl.when(rest).then(last).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close")]
        bars = bars.with_columns(*prices, volume=pl.when(rest).then(0.0).otherwise(pl.col("volume")))
        bars = bars.with_columns(high=pl.max_horizontal("open", "high", "close"), low=pl.min_horizontal("open", "low", "close"))
    inputs = read_bars(bars)
    lines = _a20.lines(inputs).values
    expected = twin(inputs)
    assert set(expected) == set(_a20.NAMES)
    for column, line in zip(_a20.COLUMNS, lines, strict=True):
        assert np.isnan(line[: column.warmup]).all(), column.name
        np.testing.assert_allclose(
            line[column.warmup :], expected[column.name][column.warmup :], rtol=1e-9, atol=1e-9, err_msg=column.name
        )


@settings(max_examples=200, deadline=None)
@given(a=st.floats(1e-280, 1e280), b=st.floats(1e-280, 1e280), near=st.floats(0.5, 2.0))
def test_the_logarithm_of_a_ratio_is_right_to_the_last_places(a: float, b: float, near: float) -> None:
    for other in (b, a * near):
        x, y = np.longdouble(a), np.longdouble(other)
        exact = np.log1p((x - y) / y) if 0.5 < a / other < 2.0 else np.log(x / y)
        found = _kernels_a20_windows.log_of(a, other)
        assert abs(found - exact) <= 4e-16 * abs(exact) + 1e-300, (a, other)


def test_a_place_in_a_range_that_is_not_wholly_known_is_not_known() -> None:
    values = np.array([0.2, np.nan, 0.6, 0.7, 0.5, 0.4, 0.9])
    place = indicators.position_in_range(values, 5, 0.0, otherwise=np.nan)
    assert np.isnan(place[:2]).all()
    assert place[2] == 1.0
    assert np.isnan(indicators.position_in_range(values[::-1].copy(), 5, 0.0, otherwise=np.nan)[1:]).all()


def several(bars_of: Bars) -> pl.DataFrame:
    """Three instruments of daily bars, one of them shorter than any warm-up, and one of a single row."""
    lengths = {"XTST:A": 1300, "XTST:B": 40, "XTST:C": 1, "XTST:D": 700}
    return pl.concat(bars_of(n, seed).with_columns(instrument=pl.lit(name)) for seed, (name, n) in enumerate(lengths.items()))


@pytest.mark.parametrize("blocks", [["a20"], ["a50", "volatility"]])
@pytest.mark.parametrize("gap", [False, True])
def test_several_instruments_at_once_are_what_each_is_alone(bars_of: Bars, blocks: list[str], gap: bool) -> None:
    bars = several(bars_of)
    if gap:
        bars = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 1330).then(None).otherwise(pl.col("volume")))
    table = features.compute_each(bars, blocks)
    alone = [features.compute(part, blocks) for part in bars.partition_by("instrument", maintain_order=True)]
    assert table["instrument"].equals(bars["instrument"])
    assert table.drop("instrument").equals(pl.concat(alone))


def test_no_rows_give_an_empty_table(bars_of: Bars) -> None:
    assert features.compute_each(bars_of(0), ["a20"]).shape == (0, 22)


def test_several_instruments_that_are_not_in_order_are_refused(bars_of: Bars) -> None:
    bars = several(bars_of)
    cases = {
        "rows of each instrument together": pl.concat([bars, bars.head(1).with_columns(ts=pl.col("ts") + timedelta(days=9999))]),
        "ascending order of ts": pl.concat([bars.head(3), bars.head(3), bars[1300:]]),
        "an instrument in every row": bars.with_columns(instrument=pl.lit(None, dtype=pl.String)),
        "missing close": bars.drop("close"),
        "positive prices": bars.with_columns(low=pl.lit(0.0)),
    }
    for message, given_bars in cases.items():
        with pytest.raises(InvalidInput, match=message):
            features.compute_each(given_bars, ["a20"])


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("bounds", [None, [0, 1300, 1340, 1341, 2041], [0, 3, 2041]])
def test_any_number_of_threads_gives_what_one_gives(
    bars_of: Bars, monkeypatch: pytest.MonkeyPatch, bounds: list[int] | None, threads: int
) -> None:
    inputs = read_bars(bars_of(2041, 4))
    edges = None if bounds is None else np.array(bounds)
    alone = _a20.lines(inputs, edges, 1)
    at_once: set[int] = set()
    together, kernel = threading.Barrier(2, timeout=20.0), _kernels_a20.window_lines

    def watched(*given_: object) -> None:
        if threading.get_ident() not in at_once:
            at_once.add(threading.get_ident())
            if len(at_once) <= 2:
                together.wait()  # two threads are in the kernel at one moment, or this breaks
        kernel(*given_)

    monkeypatch.setattr(_kernels_a20, "window_lines", watched)
    shared = _a20.lines(inputs, edges, threads)
    assert len(at_once) >= 2
    assert shared.values.tobytes() == alone.values.tobytes()
    for one, other in zip(shared.columns(_a20.NAMES) or [], alone.columns(_a20.NAMES) or [], strict=True):
        assert one.equals(other, check_names=True)
        assert one.null_count() == other.null_count() == int(np.isnan(one.to_numpy()).sum())


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_many_short_instruments_are_marked_as_they_are_filled(bars_of: Bars, threads: int) -> None:
    """Parts that end within a word of 64 rows; what is known is what is no NaN, as where all is marked at the end."""
    lengths = np.random.default_rng(5).integers(1, 400, 160)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    inputs = read_bars(bars_of(int(edges[-1]), 6))
    found = _a20.lines(inputs, edges, threads)
    assert found.marked.any()
    assert not found.marked.all()
    later = _a20.lines(inputs, edges, threads)
    later.marked[:] = False
    for one, other in zip(found.columns(_a20.NAMES) or [], later.columns(_a20.NAMES) or [], strict=True):
        assert one.equals(other)
        assert one.null_count() == int(np.isnan(one.to_numpy()).sum())


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 700])
def test_a_table_on_two_threads_is_that_on_one(bars_of: Bars, n: int) -> None:
    bars = bars_of(n, 9)
    expected = features.compute(bars, ["a20"], threads=1)
    assert features.compute(bars, ["a20"], threads=2).equals(expected)
    assert features.compute_each(bars, ["a20"], threads=2).drop("instrument").equals(expected)
    assert not any(line.is_nan().any() for line in expected.drop("ts"))


def test_fewer_threads_than_one_are_refused(bars_of: Bars) -> None:
    with pytest.raises(InvalidInput, match="threads of at least 1, found 0"):
        features.compute(bars_of(30), ["a20"], threads=0)


def test_prices_whose_ratios_would_lose_digits_are_refused(bars_of: Bars) -> None:
    tiny = bars_of(300).with_columns(pl.col(name) * 1e-300 for name in ("open", "high", "low", "close"))
    with pytest.raises(InvalidInput, match="another unit"):
        features.compute(tiny, ["a20"])


@pytest.mark.parametrize(("price", "volume"), [(1e306, 1.0), (1e-200, 1.0), (1.0, 1e200), (1e200, 1e110)])
def test_prices_and_volumes_whose_products_leave_the_range_of_numbers_are_refused(
    bars_of: Bars, price: float, volume: float
) -> None:
    """A mean of 200 closes of 1e306 is infinite, and the logarithm of a ratio to it looked like a value."""
    bars = bars_of(400).with_columns(pl.col(name) * price for name in ("open", "high", "low", "close"))
    with pytest.raises(InvalidInput, match="another unit"):
        features.compute(bars.with_columns(pl.col("volume") * volume), ["a20"])


@pytest.mark.parametrize(("price", "volume"), [(1e-140, 1e-140), (1e140, 1e140)])
def test_every_scale_that_is_taken_gives_the_same_ratios(bars_of: Bars, price: float, volume: float) -> None:
    bars = bars_of(400)
    scaled = bars.with_columns(pl.col(name) * price for name in ("open", "high", "low", "close"))
    scaled = scaled.with_columns(pl.col("volume") * volume)
    found, plain = (features.compute(one, ["a20"]).drop("ts").to_numpy() for one in (scaled, bars))
    np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-9)


def test_an_infinite_value_is_named(bars_of: Bars) -> None:
    bars = bars_of(1200).with_columns(high=pl.when(pl.int_range(pl.len()) == 900).then(1e308).otherwise(pl.col("high")))
    bars = bars.with_columns(pl.when(pl.int_range(pl.len()) == 900).then(1e-20).otherwise(pl.col(name)).alias(name)
                             for name in ("open", "low", "close"))  # fmt: skip
    with pytest.raises(InvalidInput, match="expected finite atr_to_close"):
        features.compute(bars, ["a20"])
